#include "abi.h"

#include <stable-diffusion.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "engine_watch.h"
#include "specs.h"

namespace {

// What no text shows (ip_adapter_path, lora_apply_mode, the adapter's picture) lies between fields that it does show.
// A stranger's init may write a larger structure: it gets room, and the bytes behind ours are looked at.
constexpr size_t kRoom = 8192;
constexpr unsigned char kCanary = 0xA5;

template <class Params>
struct Probe {
  std::unique_ptr<unsigned char[]> bytes{new unsigned char[kRoom]};
  Params* params = reinterpret_cast<Params*>(bytes.get());

  explicit Probe(void (*init)(Params*)) {
    std::memset(bytes.get(), kCanary, kRoom);
    init(params);
  }
  bool overrun() const {
    for (size_t i = sizeof(Params); i < kRoom; i++)
      if (bytes[i] != kCanary) return true;
    return false;
  }
  std::string text(char* (*to_str)(const Params*)) const {
    std::unique_ptr<char, void (*)(void*)> text(to_str(params), std::free);
    return text ? text.get() : "";
  }
};

bool has(const std::string& text, const char* line) { return text.find(line) != std::string::npos; }

std::string check_context() {
  Probe<sd_ctx_params_t> probe(sd_ctx_params_init);
  if (probe.overrun()) return "sd_ctx_params_t is larger than expected";
  auto& p = *probe.params;
  p.model_path = "abi-model";
  p.clip_vision_path = "abi-vision";
  p.vae_path = "abi-vae";
  p.tensor_type_rules = "abi-rules";
  p.n_threads = 7919;
  p.diffusion_flash_attn = true;
  p.flash_attn = false;
  p.eager_load = true;
  p.backend = "abi-backend";
  p.auto_fit = true;
  p.control_net_path = "abi-control";
  p.params_backend = "abi-params";
  p.photo_maker_path = "abi-photo-maker";
  const auto text = probe.text(sd_ctx_params_to_str);
  for (const char* line :
       {"\nclip_vision_path: abi-vision\n", "\nvae_path: abi-vae\n", "\ntensor_type_rules: abi-rules\n",
        "\nn_threads: 7919\n", "\ndiffusion_flash_attn: true\n", "\nflash_attn: false\n", "\neager_load: true\n",
        "\nbackend: abi-backend\n", "\nauto_fit: true\n", "\ncontrol_net_path: abi-control\n",
        "\nparams_backend: abi-params\n", "\nphoto_maker_path: abi-photo-maker\n"})
    if (!has(text, line)) return std::string("sd_ctx_params_t lacks") + line;
  return has(text, "model_path: abi-model\n") ? "" : "sd_ctx_params_t lacks model_path";
}

std::string check_generation() {
  Probe<sd_img_gen_params_t> probe(sd_img_gen_params_init);
  if (probe.overrun()) return "sd_img_gen_params_t is larger than expected";
  auto& p = *probe.params;
  // Fields that to_str does not print are read back as the defaults that init gives them.
  if (p.ip_adapter_strength != 1.0f || p.ip_adapter_image.data != nullptr || p.lora_count != 0)
    return "sd_img_gen_params_t has another place for ip_adapter_strength";
  if (p.pm_params.id_images != nullptr || p.pm_params.style_strength != 20.0f)
    return "sd_img_gen_params_t has another place for pm_params";
  const auto& tiling = p.vae_tiling_params;
  if (tiling.tile_size_x != 0 || tiling.tile_size_y != 0 || tiling.target_overlap != 0.5f)
    return "sd_img_gen_params_t has another place for vae_tiling_params";
  p.prompt = "abi-prompt";
  p.negative_prompt = "abi-negative";
  p.clip_skip = 11;
  p.width = 1216;
  p.height = 832;
  p.sample_params.guidance.txt_cfg = 3.25f;
  p.sample_params.sample_steps = 137;
  p.sample_params.scheduler = str_to_scheduler("karras");
  p.sample_params.sample_method = str_to_sample_method("euler_a");
  p.strength = 0.25f;
  p.seed = 4294967291LL;
  p.batch_count = 3;
  p.control_strength = 0.75f;
  p.pm_params = {nullptr, 3, "abi-embeds", 37.5f};
  p.vae_tiling_params.enabled = true;
  p.cache.mode = SD_CACHE_UCACHE;
  p.hires.enabled = true;
  p.hires.upscaler = str_to_sd_hires_upscaler("Lanczos");
  p.hires.target_width = 1088;
  p.hires.steps = 131;
  const auto text = probe.text(sd_img_gen_params_to_str);
  for (const char* line :
       {"negative_prompt: abi-negative\n", "clip_skip: 11\n", "width: 1216\n", "height: 832\n", "txt_cfg: 3.25,",
        "scheduler: karras,", "sample_method: euler_a,", "sample_steps: 137,", "seed: 4294967291\n", "batch_count: 3\n",
        "control_strength: 0.75\n",
        "photo maker: {style_strength = 37.50, id_images_count = 3, id_embed_path = abi-embeds}\n", "VAE tiling: true ",
        "cache: ucache ", "hires: {enabled=true, upscaler=Lanczos,", "target=1088x0, steps=131,"})
    if (!has(text, line)) return std::string("sd_img_gen_params_t lacks ") + line;
  return has(text, "prompt: abi-prompt\n") ? "" : "sd_img_gen_params_t lacks prompt";
}

// An engine that has another name for one draws by its default, and says nothing.
template <class Value>
std::string check_names(const char* kind, const std::vector<std::string>& names, Value (*value_of)(const char*)) {
  const auto unknown = value_of("abi-unknown");
  for (const auto& name : names)
    if (value_of(name.c_str()) == unknown) return std::string("it has no ") + kind + " " + name;
  return "";
}
std::string check_samplers() { return check_names("sampler", kSamplers, str_to_sample_method); }
std::string check_schedulers() { return check_names("scheduler", kSchedulers, str_to_scheduler); }
std::string check_upscalers() { return check_names("upscaler", kHiresUpscalers, str_to_sd_hires_upscaler); }

// Nothing in a structure shows which number a level has. A file that is not there shows two of them: the engine names
// it as information, then complains. Read wrongly, failures would have no reason, and prompts would reach the log.
std::string check_levels() {
  struct Line {
    sd_log_level_t level;
    std::string text;
  };
  std::vector<Line> lines;
  const auto keep = [](sd_log_level_t level, const char* text, void* kept) {
    static_cast<std::vector<Line>*>(kept)->push_back({level, text ? text : ""});
  };
  sd_ctx_params_t params;
  sd_ctx_params_init(&params);
  const std::string file = "/nowhere/abi-levels.safetensors";
  params.model_path = file.c_str();
  params.backend = "CPU";
  params.auto_fit = false;
  sd_set_log_callback(keep, &lines);
  std::unique_ptr<sd_ctx_t, void (*)(sd_ctx_t*)> context(new_sd_ctx(&params), free_sd_ctx);
  sd_set_log_callback(nullptr, nullptr);
  if (context) return "the engine loads a file that is not there";
  bool told = false, complained = false;
  for (const auto& line : lines) {
    if (!has(line.text, file.c_str())) continue;
    told = told || (has(line.text, "loading model from") && log_level(line.level) == LogLevel::info);
    complained = complained || (has(line.text, "failed") && log_level(line.level) == LogLevel::error);
  }
  if (!told) return "its level for information is another";
  return complained ? "" : "its level for errors is another";
}

// An engine of another commit has other words, too, and a LoRA or an adapter is proven by those.
std::string check_commit() {
#ifdef PINNED_ENGINE_COMMIT
  const std::string commit = sd_commit();
  if (commit != PINNED_ENGINE_COMMIT) return "its commit is " + commit + ", and not " PINNED_ENGINE_COMMIT;
#endif
  return "";
}

}  // namespace

std::string abi_mismatch() {
  for (const auto check : {check_commit, check_context, check_generation, check_samplers, check_schedulers,
                           check_upscalers, check_levels}) {
    auto mismatch = check();
    if (!mismatch.empty()) return mismatch;
  }
  return "";
}
