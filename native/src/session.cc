#include "session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <numeric>
#include <tuple>

namespace {

std::atomic<bool> permit_taken{false};

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

// "PART=TYPE,...". By the names that CLIP's two halves have inside: as cond_stage_model the engine files both.
std::string type_rules(const LoadSpec& spec) {
  std::string rules;
  const std::pair<const char*, const std::string*> parts[] = {{"text_model", &spec.text_encoder_type},
                                                              {"vision_model", &spec.image_encoder_type}};
  for (const auto& [part, type] : parts)
    if (*type != "native") rules += (rules.empty() ? "" : ",") + std::string(part) + "=" + *type;
  return rules;
}

sd_cache_mode_t cache_mode(const std::string& name) {
  static const std::pair<const char*, sd_cache_mode_t> modes[] = {{"easycache", SD_CACHE_EASYCACHE},
                                                                  {"ucache", SD_CACHE_UCACHE},
                                                                  {"dbcache", SD_CACHE_DBCACHE},
                                                                  {"taylorseer", SD_CACHE_TAYLORSEER},
                                                                  {"spectrum", SD_CACHE_SPECTRUM}};
  for (const auto& [known, mode] : modes)
    if (name == known) return mode;
  return SD_CACHE_DISABLED;
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// All pixels equal within 2 levels in every channel: what a broken VAE (NaN), a lost LoRA mode or overflowing
// numbers leave. A nearly plain picture can be honest; this one has nothing in it.
bool is_flat(const sd_image_t& image) {
  const size_t bytes = size_t(image.width) * image.height * 3;
  for (size_t channel = 0; channel < 3; channel++) {
    uint8_t low = 255, high = 0;
    for (size_t i = channel; i < bytes; i += 3) {
      low = std::min(low, image.data[i]);
      high = std::max(high, image.data[i]);
    }
    if (high - low > 2) return false;
  }
  return true;
}

// In pixels of the latent, 8 of the picture's: half of the picture, so that decoding takes a quarter of the memory, but
// not below the engine's own choice of 32, where tiles know too little of each other, nor so large that they do not
// fit.
int tile_side(int side) { return std::clamp(side / 16, 32, 64); }

// Pixels of the side of a tile that an upscaler computes at a time, the engine's own default.
constexpr int kUpscaleTile = 128;

int width_of(const GenerateSpec& spec) { return spec.hires.width > 0 ? spec.hires.width : spec.width; }
int height_of(const GenerateSpec& spec) { return spec.hires.height > 0 ? spec.hires.height : spec.height; }

// Steps of the schedule at a larger size: as many as make `hires.steps` of them with that strength.
int hires_schedule(const HiresSpec& hires) { return std::max(1, (int)(hires.steps / hires.strength)); }

// A schedule of one step goes from the most noise to none, whichever it is. The engine divides by the steps less one in
// some, which is a flat picture, and reads before a table in `gits`, which is a crash.
bool has_one_step(const GenerateSpec& spec) {
  return spec.steps == 1 || (spec.hires.width > 0 && hires_schedule(spec.hires) == 1);
}

// The steps of each sampling, as the engine counts them: from a picture it begins in the middle of the schedule.
std::vector<int> passes_of(const GenerateSpec& spec) {
  const auto from_picture = [](int steps, float strength) { return std::min((int)(steps * strength), steps - 1) + 1; };
  const bool from_noise = spec.image.empty() || spec.strength >= 1;
  std::vector<int> passes(spec.count, from_noise ? spec.steps : from_picture(spec.steps, spec.strength));
  if (spec.hires.width > 0) {
    const auto& hires = spec.hires;
    passes.insert(passes.end(), spec.count, from_picture(hires_schedule(hires), hires.strength));
  }
  return passes;
}

// Methods that ask the model twice a step, but for the last one. PhotoMaker takes the first time, which the engine
// counts with negative numbers, for one before any step.
bool asks_twice(const std::string& sampler) {
  const auto methods = {"heun", "dpm2", "dpm++2s_a", "res_2s"};
  return std::find(methods.begin(), methods.end(), sampler) != methods.end();
}

// PhotoMaker's `style_strength`: the percentage of `spec.steps` after which the engine heeds the person. It counts from
// 1 in each sampling, of which those from a picture have fewer: by the shortest, so that each heeds them in its share
// of the steps, and in one at least.
float style_strength(const GenerateSpec& spec, const std::vector<int>& passes) {
  const auto [shortest, longest] = std::minmax_element(passes.begin(), passes.end());
  if (spec.identity_strength == 0) return 100.0f * (*longest + 1) / spec.steps;
  const int last = *shortest - (asks_twice(spec.sampler) ? 2 : 1);
  const int without = std::min((int)std::lround((1 - spec.identity_strength) * *shortest), last);
  // Below each number that a step can have; else half a step more, for the engine rounds down.
  const float start = without <= 0 ? -1 - *longest : without + 0.5f;
  return 100 * start / spec.steps;
}

std::optional<Failure> missing_file(const LoadSpec& spec) {
  const std::pair<const char*, const std::string*> files[] = {{"model", &spec.model},
                                                              {"vae", &spec.vae},
                                                              {"clipVision", &spec.clip_vision},
                                                              {"ipAdapter", &spec.ip_adapter},
                                                              {"photoMaker", &spec.photo_maker}};
  for (const auto& [name, path] : files)
    if (!path->empty() && !std::ifstream(*path, std::ios::binary))
      return Failure{"load_failed", "Expected a readable file for " + std::string(name) + " but it cannot be opened"};
  return std::nullopt;
}

// Of a part that the engine keeps from a GPU nobody else would hear: pictures are right, and slow.
std::optional<Failure> weights_elsewhere(const LoadSpec& spec, const std::vector<std::string>& parts_in_ram) {
  if (spec.device.empty() || spec.device == "CPU") return std::nullopt;
  std::string parts;
  for (const auto& part : parts_in_ram)
    if (!(spec.offload_encoders && part == "text_encoders")) parts += (parts.empty() ? "" : ", ") + part;
  if (parts.empty()) return std::nullopt;
  return Failure{"load_failed", "The engine left weights in the processor's memory instead of on " + spec.device +
                                    ", where pictures would be slow: " + parts};
}

}  // namespace

std::shared_ptr<EnginePermit> EnginePermit::try_take() {
  if (permit_taken.exchange(true)) return nullptr;
  return std::shared_ptr<EnginePermit>(new EnginePermit());
}

bool EnginePermit::taken() { return permit_taken; }

EnginePermit::~EnginePermit() { permit_taken = false; }

std::optional<Failure> Session::load(const LoadSpec& spec, const StepListener& listener,
                                     std::shared_ptr<Session>& session) {
  if (auto missing = missing_file(spec)) return missing;
  EngineWatch watch(Phase::loading, false, {}, {listener, [] {}});
  sd_ctx_params_t params;
  sd_ctx_params_init(&params);
  params.model_path = spec.model.c_str();
  params.vae_path = or_null(spec.vae);
  params.clip_vision_path = or_null(spec.clip_vision);
  params.ip_adapter_path = or_null(spec.ip_adapter);
  params.photo_maker_path = or_null(spec.photo_maker);
  std::vector<sd_embedding_t> embeddings;
  for (const auto& [name, path] : spec.embeddings) embeddings.push_back({name.c_str(), path.c_str()});
  params.embeddings = embeddings.data();
  params.embedding_count = (uint32_t)embeddings.size();
  params.backend = or_null(spec.device);
  if (spec.offload_encoders) params.params_backend = "te=cpu,clip_vision=cpu";
  if (spec.threads > 0) params.n_threads = spec.threads;
  params.diffusion_flash_attn = spec.flash_attention;
  params.vae_conv_direct = spec.vae_direct_convolution;
  // Which the engine does by itself for the VAE of a checkpoint: as published it overflows F16, and pictures are black.
  // One in a file of its own may be repaired or not, and is drawn with all the same.
  params.force_sdxl_vae_conv_scale = true;
  params.diffusion_conv_direct = spec.unet_direct_convolution;
  const auto types = type_rules(spec);
  params.tensor_type_rules = or_null(types);
  params.lora_apply_mode = spec.merge_loras ? LORA_APPLY_IMMEDIATELY : LORA_APPLY_AT_RUNTIME;
  // A server wants its weights resident and where it put them: with auto_fit they would be loaded again at every
  // request, and a card that is full would mean the processor, slowly and without an error.
  params.eager_load = true;
  params.enable_mmap = true;
  params.auto_fit = false;
  sd_ctx_t* context = new_sd_ctx(&params);
  if (!context) {
    const auto errors = watch.errors();
    return Failure{watch.out_of_memory() ? "out_of_memory" : "load_failed",
                   "The engine could not load the model" + (errors.empty() ? "" : ": " + errors)};
  }
  session.reset(new Session(context, spec));
  // It loads the rest all the same.
  if (watch.lost_photo_maker()) {
    session.reset();
    return Failure{"load_failed", "The engine could not load PhotoMaker: " + watch.photo_maker_complaint()};
  }
  if (auto elsewhere = weights_elsewhere(spec, watch.parts_in_ram())) {
    session.reset();
    return elsewhere;
  }
  return std::nullopt;
}

void Session::cancel() {
  cancelled_ = true;
  // generate_image forgets a cancel that came before it; the watch asks again at every callback.
  sd_cancel_generation(context_.get(), SD_CANCEL_ALL);
}

std::optional<Failure> Session::generate(const GenerateSpec& spec, const StepListener& listener, Picture& picture) {
  const Failure was_cancelled{"cancelled", "The generation was cancelled"};
  if (cancelled_) return was_cancelled;
  if (!spec.reference.empty() && !has_ip_adapter_)
    return Failure{"ip_adapter_not_applied", "A reference picture needs a session with an IP-Adapter"};

  if (!spec.identity.empty() && !has_photo_maker_)
    return Failure{"photo_maker_not_applied", "Pictures of a person need a session with PhotoMaker"};

  const auto interrupt = [this] {
    if (cancelled_) sd_cancel_generation(context_.get(), SD_CANCEL_ALL);
  };
  const bool reads_person = !spec.reference.empty() || !spec.identity.empty();
  const bool reads = reads_person || !spec.image.empty() || !spec.control.empty();
  const auto first = reads ? Phase::image : Phase::text;
  const auto passes = passes_of(spec);
  EngineWatch watch(first, reads_person, passes, {listener, interrupt, [this] { return previews_.load(); }});
  listener({first, 0, std::accumulate(passes.begin(), passes.end(), 0), {}});
  if (auto failure = use_control_net(spec, watch)) return failure;

  std::vector<sd_lora_t> loras;
  for (const auto& lora : spec.loras) loras.push_back({false, lora.scale, lora.path.c_str()});
  auto reference = spec.reference;  // the engine's image is not const
  sd_img_gen_params_t params;
  sd_img_gen_params_init(&params);
  params.prompt = spec.prompt.c_str();
  params.negative_prompt = spec.negative_prompt.c_str();
  params.width = spec.width;
  params.height = spec.height;
  params.seed = spec.seed;
  params.clip_skip = spec.clip_skip;
  params.sample_params.sample_steps = spec.steps;
  params.sample_params.guidance.txt_cfg = spec.guidance_scale;
  params.sample_params.sample_method = str_to_sample_method(spec.sampler.c_str());
  params.sample_params.scheduler = str_to_scheduler(has_one_step(spec) ? "discrete" : spec.scheduler.c_str());
  params.loras = loras.data();
  params.lora_count = (uint32_t)loras.size();
  if (!reference.empty()) {
    params.ip_adapter_image = {kReferenceSide, kReferenceSide, 3, reference.data()};
    params.ip_adapter_strength = spec.reference_strength;
  }
  auto people = spec.identity;
  std::vector<sd_image_t> identity;
  for (auto& pixels : people) identity.push_back({kReferenceSide, kReferenceSide, 3, pixels.data()});
  if (!identity.empty())
    params.pm_params = {identity.data(), (int)identity.size(), nullptr, style_strength(spec, passes)};
  auto [image, mask, control] = std::make_tuple(spec.image, spec.mask, spec.control);
  const auto borrow = [&spec](std::vector<uint8_t>& pixels, uint32_t channels) {
    return sd_image_t{(uint32_t)spec.width, (uint32_t)spec.height, channels, pixels.empty() ? nullptr : pixels.data()};
  };
  params.batch_count = spec.count;
  if (!image.empty()) {
    params.init_image = borrow(image, 3);
    params.strength = spec.strength;
    if (!mask.empty()) params.mask_image = borrow(mask, 1);
  }
  if (!control.empty()) {
    params.control_image = borrow(control, 3);
    // The thresholds of the engine's own command line.
    if (spec.control_canny && !preprocess_canny(params.control_image, 0.08f, 0.08f, 0.8f, 1.0f, false))
      return Failure{"generation_failed", "The engine found no edges in the control picture"};
    params.control_strength = spec.control_strength;
  }
  if (spec.hires.width > 0) {
    params.hires.enabled = true;
    params.hires.upscaler = str_to_sd_hires_upscaler(spec.hires.upscaler.c_str());
    params.hires.model_path = or_null(spec.hires.model);
    params.hires.target_width = spec.hires.width;
    params.hires.target_height = spec.hires.height;
    params.hires.steps = spec.hires.steps;
    params.hires.denoising_strength = spec.hires.strength;
  }
  params.cache.mode = cache_mode(spec.cache);
  if (spec.vae_tiling) {
    params.vae_tiling_params.enabled = true;
    params.vae_tiling_params.tile_size_x = tile_side(width_of(spec));
    params.vae_tiling_params.tile_size_y = tile_side(height_of(spec));
  }

  const auto start = std::chrono::steady_clock::now();
  const auto images = std::make_shared<Images>();
  const bool ok = generate_image(context_.get(), &params, &images->data, &images->count);
  picture.engine_ms = milliseconds_since(start);

  if (merges_loras_) follow_merges(spec, watch);  // also of a picture that came to nothing
  if (cancelled_) return was_cancelled;           // the engine answers "false" to both: who asked decides
  if (!ok || images->count != spec.count || !images->data) {
    const auto errors = watch.errors();
    return Failure{watch.out_of_memory() ? "out_of_memory" : "generation_failed",
                   "The engine gave up" + (errors.empty() ? " without a reason" : ": " + errors)};
  }
  for (int i = 0; i < images->count; i++) {
    const auto& made = images->data[i];
    if (!made.data || made.channel != 3 || (int)made.width != width_of(spec) || (int)made.height != height_of(spec))
      return Failure{"generation_failed", "The engine made a picture of " + std::to_string(made.width) + "x" +
                                              std::to_string(made.height) + " with " + std::to_string(made.channel) +
                                              " channels"};
    picture.pictures.push_back({images, made});
  }
  picture.text_chunks = watch.text_chunks();
  picture.decoded_in_tiles = spec.vae_tiling || watch.retried_in_tiles();
  const auto decoded = std::chrono::steady_clock::now();
  if (!spec.upscaler.empty())
    if (auto failure = enlarge(spec, watch, picture)) return cancelled_ ? was_cancelled : failure;
  const double enlarging_ms = milliseconds_since(decoded);
  picture.width = (int)picture.pictures.front().image.width;
  picture.height = (int)picture.pictures.front().image.height;
  picture.text_ms = watch.milliseconds(Phase::text);
  picture.image_ms = watch.milliseconds(Phase::image);
  picture.sampling_ms = watch.milliseconds(Phase::sampling);
  picture.decode_ms = watch.milliseconds(Phase::decoding) + enlarging_ms;
  return check(spec, watch, picture);
}

std::optional<Failure> Session::use_control_net(const GenerateSpec& spec, const EngineWatch& watch) {
  if (spec.control.empty() || spec.control_net == control_net_) return std::nullopt;
  control_net_.clear();  // the engine lets go of it first
  if (!sd_ctx_load_control_net(context_.get(), spec.control_net.c_str()))
    return Failure{watch.out_of_memory() ? "out_of_memory" : "control_net_not_applied",
                   "The engine could not load the ControlNet: " + watch.errors()};
  control_net_ = spec.control_net;
  return std::nullopt;
}

std::optional<Failure> Session::enlarge(const GenerateSpec& spec, const EngineWatch& watch, Picture& picture) const {
  const auto failed = [&watch](const std::string& what) {
    const auto errors = watch.errors();
    return Failure{watch.out_of_memory() ? "out_of_memory" : "upscaler_not_applied",
                   what + (errors.empty() ? "" : ": " + errors)};
  };
  const std::unique_ptr<upscaler_ctx_t, void (*)(upscaler_ctx_t*)> upscaler(
      new_upscaler_ctx(spec.upscaler.c_str(), false, threads_ > 0 ? threads_ : sd_get_num_physical_cores(),
                       kUpscaleTile, or_null(device_), nullptr),
      free_upscaler_ctx);
  if (!upscaler) return failed("The engine could not load the upscaler");
  const auto factor = get_upscale_factor(upscaler.get());
  for (auto& pixels : picture.pictures) {
    if (cancelled_) return failed("The generation was cancelled");
    const auto larger = std::make_shared<Images>();
    if (!upscale(upscaler.get(), pixels.image, factor, &larger->data, &larger->count) || larger->count < 1 ||
        !larger->data->data || larger->data->channel != 3)
      return failed("The engine could not enlarge the picture");
    pixels = {larger, *larger->data};
  }
  return std::nullopt;
}

void Session::follow_merges(const GenerateSpec& spec, const EngineWatch& watch) {
  if (!(merged_ == spec.loras)) merged_counts_.clear();
  merged_ = spec.loras;
  for (const auto& lora : spec.loras) {
    const auto seen = watch.lora(lora.path);
    auto& known = merged_counts_[lora.path];
    known.applied += seen.applied;
    known.total = known.most = std::max(known.most, seen.most);  // each part is offered the whole file
  }
}

LoraCount Session::count(const std::string& path, const EngineWatch& watch) const {
  return merges_loras_ ? merged_counts_.at(path) : watch.lora(path);
}

// The engine answers "ok" in each of these cases; also where memory ran out for an adapter or a LoRA.
std::optional<Failure> Session::check(const GenerateSpec& spec, const EngineWatch& watch, Picture& picture) const {
  const Failure no_memory{"out_of_memory", "The engine ran out of memory: " + watch.errors()};
  if (!spec.reference.empty() && !watch.adapter_applied()) {
    if (watch.out_of_memory()) return no_memory;
    return Failure{"ip_adapter_not_applied", "The engine did not use the reference picture: " + watch.errors()};
  }
  if (!spec.control.empty() && watch.errors().find("controlnet compute failed") != std::string::npos) {
    if (watch.out_of_memory()) return no_memory;
    return Failure{"control_net_not_applied", "The engine did not use the ControlNet: " + watch.errors()};
  }
  if (!spec.identity.empty() && !watch.photo_maker_applied()) {
    if (watch.out_of_memory()) return no_memory;
    return Failure{"photo_maker_not_applied",
                   "The engine did not use the pictures of the person: " + watch.photo_maker_complaint()};
  }
  for (const auto& lora : spec.loras) {
    const auto count = this->count(lora.path, watch);
    if (count.applied == 0 && watch.out_of_memory()) return no_memory;
    if (count.applied == 0) return Failure{"lora_not_applied", "Nothing of the LoRA " + lora.path + " fits the model"};
    picture.loras.push_back({lora.path, count});
  }
  for (const auto& pixels : picture.pictures)
    if (is_flat(pixels.image)) return Failure{"flat_picture", "The picture is flat: every pixel has the same colour"};
  return std::nullopt;
}
