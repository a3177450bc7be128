#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "exports.h"
#include "options.h"
#include "promise_worker.h"
#include "session.h"

namespace {

size_t bytes_of(const sd_image_t& image) { return size_t(image.width) * image.height * 3; }

// One picture is handed over as the engine made it: it goes on to another process, and would be copied here for
// nothing.
Napi::Value pixels_to_js(Napi::Env env, const std::vector<Pixels>& pictures) {
  if (pictures.size() > 1) {
    const auto each = bytes_of(pictures.front().image);
    auto buffer = Napi::Buffer<uint8_t>::New(env, each * pictures.size());
    for (size_t i = 0; i < pictures.size(); i++) std::memcpy(buffer.Data() + i * each, pictures[i].image.data, each);
    return buffer;
  }
  using Owner = std::shared_ptr<Images>;
  auto owner = std::make_unique<Owner>(pictures.front().owner);
  const auto& image = pictures.front().image;
  const auto free = [](Napi::Env, uint8_t*, Owner* owner) { delete owner; };
  const auto buffer = Napi::Buffer<uint8_t>::New(env, image.data, bytes_of(image), free, owner.get());
  owner.release();
  return buffer;
}

Napi::Value step_to_js(Napi::Env env, Step& step) {
  auto object = Napi::Object::New(env);
  object.Set("phase", phase_name(step.phase));
  object.Set("step", step.step);
  object.Set("steps", step.steps);
  if (!step.preview.pixels.empty()) {
    auto preview = Napi::Object::New(env);
    const auto& pixels = step.preview.pixels;
    preview.Set("pixels", Napi::Buffer<uint8_t>::Copy(env, pixels.data(), pixels.size()));
    preview.Set("width", step.preview.width);
    preview.Set("height", step.preview.height);
    object.Set("preview", preview);
  }
  return object;
}

Napi::Value picture_to_js(Napi::Env env, Picture& picture) {
  auto object = Napi::Object::New(env);
  object.Set("pixels", pixels_to_js(env, picture.pictures));
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
  auto chunks = Napi::Array::New(env);
  for (const int count : picture.text_chunks) chunks.Set(chunks.Length(), count);
  object.Set("textChunks", chunks);
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
    return DefineClass(
        env, "Session",
        {StaticMethod<&SessionWrap::load>("load"), InstanceMethod<&SessionWrap::generate>("generate"),
         InstanceMethod<&SessionWrap::watch_previews>("watchPreviews"), InstanceMethod<&SessionWrap::cancel>("cancel"),
         InstanceMethod<&SessionWrap::close>("close"), InstanceAccessor<&SessionWrap::has_ip_adapter>("hasIpAdapter"),
         InstanceAccessor<&SessionWrap::has_photo_maker>("hasPhotoMaker")});
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
      if (!info.This().IsFunction())
        throw coded_error(env, "invalid_argument", "Expected Session.load to be called on Session");
      auto permit = take_permit(env);
      auto constructor = std::make_shared<Napi::FunctionReference>(Napi::Persistent(info.This().As<Napi::Function>()));
      using Worker = PromiseWorker<std::shared_ptr<Session>, Step>;
      return Worker::start(env, info[1],
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
      return Worker::start(
          env, info[1],
          {[spec, session, permit](Picture& picture, const std::function<void(Step)>& emit) {
             return session->generate(*spec, emit, picture);
           },
           [session] { session->cancel(); },
           [self](Napi::Env env, Picture& picture) { return picture_to_js(env, picture); }, step_to_js});
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

  Napi::Value has_photo_maker(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), session_ && session_->has_photo_maker());
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

}  // namespace

Napi::Function define_session(Napi::Env env) { return SessionWrap::define(env); }
