#pragma once

#include <napi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "failure.h"
#include "options.h"

// Calls Worker::deliver on the JS thread. Outside of the worker, because its type must be complete here.
template <class Worker, class Event>
void deliver(Napi::Env env, Napi::Function callback, Worker* worker, Event* event) {
  std::unique_ptr<Event> owned(event);
  if (env == nullptr || callback.IsEmpty()) return;  // the environment goes down
  callback.Call({worker->event_to_js(env, *owned)});
}

// Runs one blocking job on a thread of its own and settles a promise with its result.
//
// Threads: `work` runs on the job's thread and touches no N-API; `to_js` and `event_to_js` run on the JS thread.
// Order: progress calls go through one thread-safe function, and the promise is settled in that function's
// finalizer, which Node runs after the last queued call. Settled anywhere earlier, the last progress is lost.
// Ownership: the worker frees itself in the finalizer, after joining its thread. When the environment goes down
// first, the finalizer stops the job (`stop`) and waits for it: no thread outlives the addon.
template <class Result, class Event>
class PromiseWorker {
 public:
  struct Job {
    // Returns a Failure, or nothing after having filled `result`. `emit` may be called from any thread.
    std::function<std::optional<Failure>(Result& result, const std::function<void(Event)>& emit)> work;
    std::function<void()> stop;
    std::function<Napi::Value(Napi::Env, Result&)> to_js;
    std::function<Napi::Value(Napi::Env, Event&)> event_to_js;
  };

  static Napi::Promise start(Napi::Env env, const Napi::Value& listener, Job job) {
    auto* worker = new PromiseWorker(env, listener, std::move(job));
    auto promise = worker->deferred_.Promise();
    try {
      worker->thread_ = std::thread([worker] { worker->run(); });
    } catch (const std::system_error& error) {  // no more threads: a limit of the container, for example
      worker->failure_ = Failure{"out_of_memory", error.what()};
      worker->channel_.Release();
    }
    return promise;
  }

  Napi::Value event_to_js(Napi::Env env, Event& event) { return job_.event_to_js(env, event); }

 private:
  using Channel = Napi::TypedThreadSafeFunction<PromiseWorker, Event, deliver<PromiseWorker, Event>>;

  PromiseWorker(Napi::Env env, const Napi::Value& listener, Job job)
      : deferred_(Napi::Promise::Deferred::New(env)), job_(std::move(job)), listens_(listener.IsFunction()) {
    auto callback =
        listens_ ? listener.As<Napi::Function>() : Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
    channel_ = Channel::New(env, callback, "engine job", 0, 1, this, finalize, (void*)nullptr);
  }

  void run() {
    try {
      failure_ = job_.work(result_, [this](Event event) {
        if (!listens_ || closing_) return;
        auto* queued = new Event(std::move(event));
        if (channel_.NonBlockingCall(queued) == napi_ok) return;
        // The environment goes down: nobody listens any more, and our hold on the channel is gone.
        closing_ = true;
        delete queued;
      });
    } catch (const std::bad_alloc& error) {
      failure_ = Failure{"out_of_memory", error.what()};
    } catch (const std::exception& error) {
      failure_ = Failure{"generation_failed", error.what()};
    } catch (...) {
      failure_ = Failure{"generation_failed", "The engine threw something unknown"};
    }
    if (!closing_) channel_.Release();
  }

  static void finalize(Napi::Env env, void*, PromiseWorker* worker) {
    std::unique_ptr<PromiseWorker> owned(worker);
    worker->job_.stop();  // no effect on a job that is through
    if (worker->thread_.joinable()) worker->thread_.join();
    Napi::HandleScope scope(env);
    try {
      worker->settle(env);
    } catch (...) {
      // Not even the rejection was possible: the environment goes down, and there is nobody left to tell.
    }
  }

  void settle(Napi::Env env) {
    try {
      if (failure_)
        deferred_.Reject(coded_error(env, failure_->code, failure_->message).Value());
      else
        deferred_.Resolve(job_.to_js(env, result_));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    } catch (const std::exception& error) {
      deferred_.Reject(coded_error(env, "out_of_memory", error.what()).Value());
    }
  }

  Napi::Promise::Deferred deferred_;
  Job job_;
  const bool listens_;
  Channel channel_;
  std::atomic<bool> closing_{false};
  std::thread thread_;
  Result result_;
  std::optional<Failure> failure_;
};
