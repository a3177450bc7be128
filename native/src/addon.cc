// The addon's face to JavaScript; native/index.d.ts is its contract.
#include <napi.h>
#include <stable-diffusion.h>

#ifdef __linux__
#include <signal.h>
#include <sys/prctl.h>
#endif

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "abi.h"
#include "back_ends.h"
#include "engine_watch.h"
#include "options.h"
#include "promise_worker.h"
#include "session.h"

namespace {

Napi::Value pixels_to_js(Napi::Env env, const std::vector<uint8_t>& pixels) {
  return Napi::Buffer<uint8_t>::Copy(env, pixels.data(), pixels.size());
}

Napi::Value step_to_js(Napi::Env env, Step& step) {
  auto object = Napi::Object::New(env);
  object.Set("phase", phase_name(step.phase));
  object.Set("step", step.step);
  object.Set("steps", step.steps);
  if (!step.preview.pixels.empty()) {
    auto preview = Napi::Object::New(env);
    preview.Set("pixels", pixels_to_js(env, step.preview.pixels));
    preview.Set("width", step.preview.width);
    preview.Set("height", step.preview.height);
    object.Set("preview", preview);
  }
  return object;
}

Napi::Value picture_to_js(Napi::Env env, Picture& picture) {
  auto object = Napi::Object::New(env);
  object.Set("pixels", pixels_to_js(env, picture.pixels));
  object.Set("width", picture.width);
  object.Set("height", picture.height);
  auto loras = Napi::Array::New(env);
  for (const auto& lora : picture.loras) {
    auto entry = Napi::Object::New(env);
    entry.Set("path", lora.path);
    entry.Set("applied", (double)lora.count.applied);
    entry.Set("total", (double)lora.count.total);
    loras.Set(loras.Length(), entry);
  }
  object.Set("loras", loras);
  object.Set("decodedInTiles", picture.decoded_in_tiles);
  auto timings = Napi::Object::New(env);
  timings.Set("text", picture.text_ms);
  timings.Set("image", picture.image_ms);
  timings.Set("sampling", picture.sampling_ms);
  timings.Set("decode", picture.decode_ms);
  timings.Set("engine", picture.engine_ms);
  object.Set("timings", timings);
  return object;
}

std::shared_ptr<EnginePermit> take_permit(Napi::Env env) {
  auto permit = EnginePermit::try_take();
  if (!permit) throw coded_error(env, "engine_busy", "The engine is busy: it loads or draws one thing at a time");
  return permit;
}

// The promise's way to say "no" to wrong arguments: nothing is thrown from a function that returns a promise.
template <class Start>
Napi::Value promised(Napi::Env env, Start start) {
  try {
    return start();
  } catch (const Napi::Error& error) {
    auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(error.Value());
    return deferred.Promise();
  }
}

class SessionWrap : public Napi::ObjectWrap<SessionWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Session",
                       {StaticMethod<&SessionWrap::load>("load"), InstanceMethod<&SessionWrap::generate>("generate"),
                        InstanceMethod<&SessionWrap::watch_previews>("watchPreviews"),
                        InstanceMethod<&SessionWrap::cancel>("cancel"), InstanceMethod<&SessionWrap::close>("close"),
                        InstanceAccessor<&SessionWrap::has_ip_adapter>("hasIpAdapter")});
  }

  explicit SessionWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SessionWrap>(info) {
    if (!loaded_)
      throw coded_error(info.Env(), "invalid_argument", "Expected Session.load() in place of new Session()");
    session_ = std::move(loaded_);
  }

  ~SessionWrap() override { release(); }

 private:
  static Napi::Value load(const Napi::CallbackInfo& info) {
    const auto env = info.Env();
    return promised(env, [&]() -> Napi::Value {
      const auto spec = read_load_options(info[0]);
      if (!info.This().IsFunction()) throw coded_error(env, "invalid_argument", "Expected Session.load to be called on Session");
      auto permit = take_permit(env);
      auto constructor = std::make_shared<Napi::FunctionReference>(Napi::Persistent(info.This().As<Napi::Function>()));
      using Worker = PromiseWorker<std::shared_ptr<Session>, Step>;
      return Worker::start(
          env, info[1],
          {[spec, permit](std::shared_ptr<Session>& session, const std::function<void(Step)>& emit) {
             return Session::load(spec, emit, session);
           },
           [] {},
           [constructor, permit](Napi::Env env, std::shared_ptr<Session>& session) -> Napi::Value {
             loaded_ = std::move(session);
             return constructor->New({});
           },
           [](Napi::Env env, Step& step) -> Napi::Value {
             return Napi::Number::New(env, step.steps > 0 ? 100.0 * step.step / step.steps : 0);
           }});
    });
  }

  Napi::Value generate(const Napi::CallbackInfo& info) {
    const auto env = info.Env();
    return promised(env, [&]() -> Napi::Value {
      const auto spec = std::make_shared<GenerateSpec>(read_generate_options(info[0]));
      if (!session_) throw coded_error(env, "closed", "The session is closed");
      auto permit = take_permit(env);
      auto session = session_;
      session->accept(*spec);
      // Held until the promise settles: a wrapper that nobody else holds is not collected under its own picture.
      auto self = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info.This().As<Napi::Object>()));
      using Worker = PromiseWorker<Picture, Step>;
      return Worker::start(env, info[1],
                           {[spec, session, permit](Picture& picture, const std::function<void(Step)>& emit) {
                              return session->generate(*spec, emit, picture);
                            },
                            [session] { session->cancel(); },
                            [self](Napi::Env env, Picture& picture) { return picture_to_js(env, picture); },
                            step_to_js});
    });
  }

  Napi::Value watch_previews(const Napi::CallbackInfo& info) {
    const bool on = read_flag(info[0], "on");
    if (session_) session_->watch_previews(on);
    return info.Env().Undefined();
  }

  Napi::Value cancel(const Napi::CallbackInfo& info) {
    if (session_) session_->cancel();
    return info.Env().Undefined();
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    release();
    return info.Env().Undefined();
  }

  Napi::Value has_ip_adapter(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), session_ && session_->has_ip_adapter());
  }

  void release() {
    if (session_) session_->cancel();
    session_.reset();
  }

  // From load() to the constructor that it calls, on this thread.
  static thread_local std::shared_ptr<Session> loaded_;

  std::shared_ptr<Session> session_;
};

thread_local std::shared_ptr<Session> SessionWrap::loaded_;

// Of "CUDA0"; undefined where no back end tells.
Napi::Value capability_of(Napi::Env env, const std::string& device) {
  int number = 0;
  if (std::sscanf(device.c_str(), "CUDA%d", &number) != 1) return env.Undefined();
  for (const auto& back_end : load_back_ends()) {
    const auto found = back_end.capabilities.find(number);
    if (found != back_end.capabilities.end()) return Napi::Number::New(env, found->second);
  }
  return env.Undefined();
}

Napi::Value devices(const Napi::CallbackInfo& info) {
  std::string lines(sd_list_devices(nullptr, 0) + 1, '\0');
  sd_list_devices(&lines[0], lines.size());
  lines.resize(std::min(lines.find('\0'), lines.size()));
  auto list = Napi::Array::New(info.Env());
  for (size_t from = 0; from < lines.size();) {
    const auto end = std::min(lines.find('\n', from), lines.size());
    const auto line = lines.substr(from, end - from);
    from = end + 1;
    const auto tab = line.find('\t');
    if (tab == std::string::npos) continue;
    const auto name = line.substr(0, tab);
    auto device = Napi::Object::New(info.Env());
    device.Set("name", name);
    device.Set("description", line.substr(tab + 1));
    device.Set("gpu", name != "CPU" && name.compare(0, 4, "BLAS") != 0 && name.compare(0, 3, "RPC") != 0);
    const auto capability = capability_of(info.Env(), name);
    if (!capability.IsUndefined()) device.Set("capability", capability);
    list.Set(list.Length(), device);
  }
  return list;
}

Napi::Value memory_of(const Napi::CallbackInfo& info) {
  const auto memory = device_memory(read_text(info[0], "device"));
  if (!memory) return info.Env().Undefined();
  auto object = Napi::Object::New(info.Env());
  object.Set("free", (double)memory->free);
  object.Set("total", (double)memory->total);
  return object;
}

Napi::Value back_ends(const Napi::CallbackInfo& info) {
  auto list = Napi::Array::New(info.Env());
  for (const auto& back_end : load_back_ends()) {
    auto entry = Napi::Object::New(info.Env());
    entry.Set("name", back_end.name);
    entry.Set("devices", (double)back_end.devices);
    if (!back_end.problem.empty()) entry.Set("problem", back_end.problem);
    if (back_end.least_capability) entry.Set("leastCapability", *back_end.least_capability);
    list.Set(list.Length(), entry);
  }
  return list;
}

Napi::Value engine_version(const Napi::CallbackInfo& info) {
  auto version = Napi::Object::New(info.Env());
  version.Set("source", ENGINE_SOURCE);
  version.Set("commit", sd_commit());
  version.Set("version", sd_version());
  version.Set("system", sd_get_system_info());
  return version;
}

Napi::Value physical_cores(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), sd_get_num_physical_cores());
}

// The listener of one environment. The engine's threads call it until it is cleared, which happens on this
// environment's thread before the function goes: in on_log, or in the function's finalizer when the environment ends.
struct LogChannel {
  Napi::ThreadSafeFunction function;
};
thread_local LogChannel* log_channel = nullptr;

void close_log_channel(LogChannel* channel) {
  clear_log_listener(channel);
  if (log_channel == channel) log_channel = nullptr;
}

Napi::Value on_log(const Napi::CallbackInfo& info) {
  if (auto* before = log_channel) {
    close_log_channel(before);
    before->function.Release();
  }
  if (!info[0].IsFunction()) return info.Env().Undefined();
  auto* channel = new LogChannel;
  channel->function = Napi::ThreadSafeFunction::New(
      info.Env(), info[0].As<Napi::Function>(), Napi::Object(), "engine log", 0, 1, channel,
      [](Napi::Env, void*, LogChannel* channel) {
        close_log_channel(channel);
        delete channel;
      },
      (void*)nullptr);
  channel->function.Unref(info.Env());  // listening keeps no process alive
  log_channel = channel;
  set_log_listener(channel, [channel](LogLevel level, const std::string& line) {
    const char* name = level_name(level);
    channel->function.NonBlockingCall([name, line](Napi::Env env, Napi::Function callback) {
      callback.Call({Napi::String::New(env, name), Napi::String::New(env, line)});
    });
  });
  return info.Env().Undefined();
}

Napi::Value die_with_parent(const Napi::CallbackInfo& info) {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  return info.Env().Undefined();
}

// process.exit() runs the destructors of the engine's globals while a thread may still be in the engine, which then
// crashes. A process that ends in the middle of a call ends without them: there is nothing that they would save.
#ifdef __GLIBC__
void leave_at_once(int status, void*) {
  if (EnginePermit::taken()) _exit(status);
}

// exit() calls what was registered last first: globals that the engine made since would go before us. The objects of the
// thread that exits go before all of them, and what they register is the newest.
struct NewestAtExit {
  ~NewestAtExit() { on_exit(leave_at_once, nullptr); }
};
#endif

void leave_at_once_if_running() {
#ifdef __GLIBC__
  static const int registered = on_exit(leave_at_once, nullptr);  // for an addon that only another thread loaded
  thread_local NewestAtExit newest;
  (void)registered;
  (void)newest;
#endif
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  // Before anything asks the engine for devices.
  load_back_ends();
  const auto mismatch = abi_mismatch();
  if (!mismatch.empty())
    throw coded_error(env, "abi_mismatch", "This is not the engine that the addon was built for (" + mismatch +
                                               "): run `npm run engine`");
  install_callbacks();
  leave_at_once_if_running();
  exports.Set("Session", SessionWrap::define(env));
  exports.Set("devices", Napi::Function::New(env, devices, "devices"));
  exports.Set("deviceMemory", Napi::Function::New(env, memory_of, "deviceMemory"));
  exports.Set("backEnds", Napi::Function::New(env, back_ends, "backEnds"));
  exports.Set("engineVersion", Napi::Function::New(env, engine_version, "engineVersion"));
  exports.Set("physicalCores", Napi::Function::New(env, physical_cores, "physicalCores"));
  exports.Set("onLog", Napi::Function::New(env, on_log, "onLog"));
  exports.Set("dieWithParent", Napi::Function::New(env, die_with_parent, "dieWithParent"));
  return exports;
}

}  // namespace

NODE_API_MODULE(addon, init)
