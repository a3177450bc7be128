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

std::vector<std::pair<std::string, std::string>> read_embeddings(const Napi::Value& value) {
  if (value.IsUndefined()) return {};
  if (!value.IsArray()) throw unexpected("a list", "embeddings", value);
  const auto array = value.As<Napi::Array>();
  std::vector<std::pair<std::string, std::string>> embeddings;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const auto entry = object(array.Get(i), "embeddings");
    embeddings.emplace_back(path(entry, "name"), path(entry, "path"));
  }
  return embeddings;
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

// Copied: JavaScript may reuse its buffer while we draw.
std::vector<uint8_t> read_pixels(const Napi::Object& from, const char* name, const std::string& shown, size_t bytes,
                                 const std::string& shape) {
  const auto pixels = from.Get(name);
  if (!pixels.IsBuffer() || pixels.As<Napi::Buffer<uint8_t>>().Length() != bytes)
    throw unexpected(std::to_string(bytes) + " bytes (" + shape + ")", shown, pixels);
  const auto buffer = pixels.As<Napi::Buffer<uint8_t>>();
  return {buffer.Data(), buffer.Data() + bytes};
}

std::string shape_of(const GenerateSpec& spec) {
  return std::to_string(spec.width) + "x" + std::to_string(spec.height);
}

size_t pixels_of(const GenerateSpec& spec) { return size_t(spec.width) * spec.height; }

void read_image(const Napi::Object& from, GenerateSpec& spec) {
  if (!given(from, "image")) {
    if (given(from, "mask")) throw unexpected("the image that it is of", "image", from.Get("image"));
    return;
  }
  const auto image = object(from.Get("image"), "image");
  spec.image = read_pixels(image, "pixels", "image.pixels", pixels_of(spec) * 3, shape_of(spec) + " RGB");
  spec.strength = (float)number(image, "strength", 0, 1);
  if (given(from, "mask")) spec.mask = read_pixels(from, "mask", "mask", pixels_of(spec), shape_of(spec));
}

void read_control(const Napi::Object& from, GenerateSpec& spec) {
  const auto value = from.Get("control");
  if (value.IsUndefined()) return;
  const auto control = object(value, "control");
  // The engine would compare it with a larger latent, and aborts the process.
  if (given(from, "hires")) throw unexpected("no second sampling beside control", "hires", from.Get("hires"));
  spec.control_net = path(control, "model");
  spec.control = read_pixels(control, "pixels", "control.pixels", pixels_of(spec) * 3, shape_of(spec) + " RGB");
  spec.control_strength = (float)number(control, "strength", 0, 2);
  spec.control_canny = flag(control, "canny");
}

void read_hires(const Napi::Value& value, GenerateSpec& spec) {
  if (value.IsUndefined()) return;
  const auto from = object(value, "hires");
  auto& hires = spec.hires;
  hires.width = side(from, "width");
  hires.height = side(from, "height");
  hires.steps = (int)whole(from, "steps", 1, 150);
  hires.strength = (float)number(from, "strength", 0.01, 1);
  if (given(from, "model")) {
    hires.model = path(from, "model");
    hires.upscaler = "Model";
  } else {
    hires.upscaler = one_of(from, "upscaler", kHiresUpscalers);
  }
}

// The engine adds a token to the prompt for each.
constexpr uint32_t kMostIdentityPictures = 8;

void read_identity(const Napi::Value& value, GenerateSpec& spec) {
  if (value.IsUndefined()) return;
  const auto identity = object(value, "identity");
  const auto pictures = identity.Get("pictures");
  const auto count = pictures.IsArray() ? pictures.As<Napi::Array>().Length() : 0;
  if (count < 1 || count > kMostIdentityPictures) throw unexpected("1 to 8 pictures", "identity.pictures", pictures);
  const size_t bytes = size_t(kReferenceSide) * kReferenceSide * 3;
  for (uint32_t i = 0; i < count; i++) {
    const auto name = std::to_string(i);
    const auto list = pictures.As<Napi::Object>();
    spec.identity.push_back(read_pixels(list, name.c_str(), "identity.pictures." + name, bytes, "224x224 RGB"));
  }
  spec.identity_strength = (float)number(identity, "strength", 0, 1);
}

void read_reference(const Napi::Value& value, GenerateSpec& spec) {
  if (value.IsUndefined()) return;
  const auto reference = object(value, "reference");
  const size_t bytes = size_t(kReferenceSide) * kReferenceSide * 3;
  spec.reference = read_pixels(reference, "pixels", "reference.pixels", bytes, "224x224 RGB");
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
  if (given(from, "photoMaker")) spec.photo_maker = path(from, "photoMaker");
  spec.embeddings = read_embeddings(from.Get("embeddings"));
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
  spec.prompt = text(from, "prompt", 160000);
  if (given(from, "negativePrompt")) spec.negative_prompt = text(from, "negativePrompt", 160000);
  spec.width = side(from, "width");
  spec.height = side(from, "height");
  spec.steps = (int)whole(from, "steps", 1, 150);
  spec.guidance_scale = (float)number(from, "guidanceScale", 0, 30);
  spec.seed = whole(from, "seed", 0, 4294967295LL);
  if (given(from, "sampler")) spec.sampler = one_of(from, "sampler", kSamplers);
  if (given(from, "scheduler")) spec.scheduler = one_of(from, "scheduler", kSchedulers);
  if (given(from, "count")) spec.count = (int)whole(from, "count", 1, 16);
  if (given(from, "cache"))
    spec.cache = one_of(from, "cache", {"none", "easycache", "ucache", "dbcache", "taylorseer", "spectrum"});
  if (given(from, "clipSkip")) {
    spec.clip_skip = (int)whole(from, "clipSkip", -1, 12);
    if (spec.clip_skip == 0) throw unexpected("-1 or 1 to 12", "clipSkip", from.Get("clipSkip"));
  }
  spec.loras = read_loras(from.Get("loras"));
  read_reference(from.Get("reference"), spec);
  read_identity(from.Get("identity"), spec);
  read_image(from, spec);
  read_control(from, spec);
  read_hires(from.Get("hires"), spec);
  if (given(from, "upscaler")) spec.upscaler = path(from, "upscaler");
  spec.previews = flag(from, "previews");
  spec.vae_tiling = flag(from, "vaeTiling");
  return spec;
}

bool read_flag(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) throw unexpected("true or false", name, value);
  return value.As<Napi::Boolean>().Value();
}
