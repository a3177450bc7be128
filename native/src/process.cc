#ifdef __linux__
#include <signal.h>
#include <sys/prctl.h>
#endif

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "engine_watch.h"
#include "exports.h"
#include "options.h"
#include "session.h"

namespace {

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

LogLevel read_level(const Napi::Value& value) {
  if (value.IsUndefined()) return LogLevel::debug;
  const auto name = read_text(value, "least");
  for (const auto level : {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error})
    if (name == level_name(level)) return level;
  throw coded_error(value.Env(), "invalid_argument",
                    "Expected one of debug, info, warn, error for least but received \"" + name + "\"");
}

Napi::Value on_log(const Napi::CallbackInfo& info) {
  const auto least = read_level(info[1]);
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
  set_log_listener(channel, least, [channel](LogLevel level, const std::string& line) {
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

// exit() calls what was registered last first: globals that the engine made since would go before us. The objects of
// the thread that exits go before all of them, and what they register is the newest.
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

}  // namespace

void export_process(Napi::Env env, Napi::Object exports) {
  install_callbacks();
  leave_at_once_if_running();
  exports.Set("onLog", Napi::Function::New(env, on_log, "onLog"));
  exports.Set("dieWithParent", Napi::Function::New(env, die_with_parent, "dieWithParent"));
}
