#include "options.h"

#include <cmath>

namespace {

std::string describe(const Napi::Value& value) {
  if (value.IsUndefined()) return "nothing";
  if (value.IsNull()) return "null";
  if (value.IsBuffer()) return std::to_string(value.As<Napi::Buffer<uint8_t>>().Length()) + " bytes";
  if (value.IsArray()) return std::to_string(value.As<Napi::Array>().Length()) + " entries";
  if (value.IsString()) {
    const auto text = value.As<Napi::String>().Utf8Value();
    if (text.size() > 60) return "a string of " + std::to_string(text.size()) + " bytes";
    return text.find('\0') == std::string::npos ? "\"" + text + "\"" : "a string with a NUL";
  }
  if (value.IsFunction()) return "a function";
  if (value.IsObject()) return "an object";
  if (value.IsSymbol()) return "a symbol";
  return value.ToString().Utf8Value();
}

Napi::Error unexpected(const std::string& expected, const std::string& name, const Napi::Value& value) {
  return coded_error(value.Env(), "invalid_argument",
                     "Expected " + expected + " for " + name + " but received " + describe(value));
}

Napi::Object object(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject() || value.IsArray() || value.IsFunction()) throw unexpected("an object", name, value);
  return value.As<Napi::Object>();
}

bool given(const Napi::Object& from, const char* name) { return !from.Get(name).IsUndefined(); }

// A C string for the engine: a NUL inside would silently cut it.
std::string text(const Napi::Object& from, const char* name, size_t max) {
  const auto value = from.Get(name);
  const auto expected = "a string of at most " + std::to_string(max) + " characters without NUL";
  if (!value.IsString()) throw unexpected(expected, name, value);
  const auto utf16 = value.As<Napi::String>().Utf16Value();
  if (utf16.size() > max || utf16.find(u'\0') != std::u16string::npos) throw unexpected(expected, name, value);
  for (size_t i = 0; i < utf16.size(); i++) {
    const bool high = utf16[i] >= 0xD800 && utf16[i] <= 0xDBFF, low = utf16[i] >= 0xDC00 && utf16[i] <= 0xDFFF;
    const bool paired = high && i + 1 < utf16.size() && utf16[i + 1] >= 0xDC00 && utf16[i + 1] <= 0xDFFF;
    if (low || (high && !paired)) throw unexpected("well-formed Unicode", name, value);
    if (paired) i++;
  }
  return value.As<Napi::String>().Utf8Value();
}

std::string path(const Napi::Object& from, const char* name) {
  auto value = text(from, name, 4096);
  if (value.empty()) throw unexpected("a path", name, from.Get(name));
  return value;
}

double number(const Napi::Object& from, const char* name, double min, double max) {
  const auto value = from.Get(name);
  const double n = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(n >= min && n <= max)) {  // also refuses NaN
    auto shown = [](double x) { return x == std::floor(x) ? std::to_string((long long)x) : std::to_string(x); };
    throw unexpected("a number from " + shown(min) + " to " + shown(max), name, value);
  }
  return n;
}

int64_t whole(const Napi::Object& from, const char* name, int64_t min, int64_t max) {
  const auto value = from.Get(name);
  const double n = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(n >= min && n <= max) || n != std::floor(n))
    throw unexpected("a whole number from " + std::to_string(min) + " to " + std::to_string(max), name, value);
  return (int64_t)n;
}

bool flag(const Napi::Object& from, const char* name) {
  const auto value = from.Get(name);
  return value.IsUndefined() ? false : read_flag(value, name);
}

// The engine would align any other size up without a word, and dies on 0.
int side(const Napi::Object& from, const char* name) {
  const auto value = from.Get(name);
  const double n = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(n >= 64 && n <= 4096) || std::fmod(n, 64) != 0)
    throw unexpected("a multiple of 64 from 64 to 4096", name, value);
  return (int)n;
}

std::string one_of(const Napi::Object& from, const char* name, const std::vector<std::string>& choices) {
  const auto value = from.Get(name);
  std::string list;
  for (const auto& choice : choices) {
    if (value.IsString() && value.As<Napi::String>().Utf8Value() == choice) return choice;
    list += (list.empty() ? "" : ", ") + choice;
  }
  throw unexpected("one of " + list, name, value);
}

std::vector<LoraSpec> read_loras(const Napi::Value& value) {
  if (value.IsUndefined()) return {};
  if (!value.IsArray() || value.As<Napi::Array>().Length() > 8)
    throw unexpected("a list of at most 8 LoRAs", "loras", value);
  const auto array = value.As<Napi::Array>();
  std::vector<LoraSpec> loras;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const auto entry = object(array.Get(i), "loras");
    loras.push_back({path(entry, "path"), (float)number(entry, "scale", -2, 2)});
    for (size_t other = 0; other + 1 < loras.size(); other++)
      if (loras[other].path == loras.back().path) throw unexpected("each LoRA once", "loras", entry.Get("path"));
  }
  return loras;
}

void read_reference(const Napi::Value& value, GenerateSpec& spec) {
  if (value.IsUndefined()) return;
  const auto reference = object(value, "reference");
  const auto pixels = reference.Get("pixels");
  const size_t bytes = size_t(kReferenceSide) * kReferenceSide * 3;
  if (!pixels.IsBuffer() || pixels.As<Napi::Buffer<uint8_t>>().Length() != bytes)
    throw unexpected(std::to_string(bytes) + " bytes (224x224 RGB)", "reference.pixels", pixels);
  const auto buffer = pixels.As<Napi::Buffer<uint8_t>>();
  spec.reference.assign(buffer.Data(), buffer.Data() + bytes);  // copied: JS may reuse its buffer while we draw
  spec.reference_strength = (float)number(reference, "strength", 0, 1);
}

}  // namespace

Napi::Error coded_error(Napi::Env env, const std::string& code, const std::string& message) {
  auto error = Napi::Error::New(env, message);
  error.Value().Set("code", Napi::String::New(env, code));
  return error;
}

std::string read_text(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw unexpected("a string", name, value);
  return value.As<Napi::String>().Utf8Value();
}

LoadSpec read_load_options(const Napi::Value& value) {
  const auto from = object(value, "options");
  LoadSpec spec;
  spec.model = path(from, "model");
  if (given(from, "vae")) spec.vae = path(from, "vae");
  if (given(from, "clipVision")) spec.clip_vision = path(from, "clipVision");
  if (given(from, "ipAdapter")) spec.ip_adapter = path(from, "ipAdapter");
  if (given(from, "device")) spec.device = text(from, "device", 64);
  if (given(from, "threads")) spec.threads = (int)whole(from, "threads", 1, 256);
  spec.flash_attention = flag(from, "flashAttention");
  spec.vae_direct_convolution = flag(from, "vaeDirectConvolution");
  spec.unet_direct_convolution = flag(from, "unetDirectConvolution");
  spec.offload_encoders = flag(from, "offloadEncoders");
  if (given(from, "loraMode")) spec.merge_loras = one_of(from, "loraMode", {"runtime", "merged"}) == "merged";
  if (given(from, "textEncoderType")) spec.text_encoder_type = one_of(from, "textEncoderType", {"native", "q8_0"});
  if (given(from, "imageEncoderType"))
    spec.image_encoder_type = one_of(from, "imageEncoderType", {"native", "f16", "q8_0"});
  if (!spec.ip_adapter.empty() && spec.clip_vision.empty())
    throw unexpected("the IP-Adapter's image encoder", "clipVision", from.Get("clipVision"));
  return spec;
}

GenerateSpec read_generate_options(const Napi::Value& value) {
  const auto from = object(value, "options");
  GenerateSpec spec;
  spec.prompt = text(from, "prompt", 8000);
  if (given(from, "negativePrompt")) spec.negative_prompt = text(from, "negativePrompt", 8000);
  spec.width = side(from, "width");
  spec.height = side(from, "height");
  spec.steps = (int)whole(from, "steps", 1, 150);
  spec.guidance_scale = (float)number(from, "guidanceScale", 0, 30);
  spec.seed = whole(from, "seed", 0, 4294967295LL);
  if (given(from, "sampler"))
    spec.sampler =
        one_of(from, "sampler", {"euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "dpm++2mv2", "lcm"});
  if (given(from, "scheduler"))
    spec.scheduler = one_of(from, "scheduler", {"discrete", "karras", "exponential", "ays", "sgm_uniform", "simple"});
  if (given(from, "cache"))
    spec.cache = one_of(from, "cache", {"none", "easycache", "ucache", "dbcache", "taylorseer", "spectrum"});
  if (given(from, "clipSkip")) {
    spec.clip_skip = (int)whole(from, "clipSkip", -1, 12);
    if (spec.clip_skip == 0) throw unexpected("-1 or 1 to 12", "clipSkip", from.Get("clipSkip"));
  }
  spec.loras = read_loras(from.Get("loras"));
  read_reference(from.Get("reference"), spec);
  spec.previews = flag(from, "previews");
  spec.vae_tiling = flag(from, "vaeTiling");
  return spec;
}

bool read_flag(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) throw unexpected("true or false", name, value);
  return value.As<Napi::Boolean>().Value();
}
