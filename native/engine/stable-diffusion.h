// The part of stable-diffusion.cpp's C interface that the addon uses, declared for the pinned prebuilt engine,
// which ships no header. Structures have the layout of upstream's commit below; what the addon does not touch is
// reserved space. With SD_CPP_ROOT upstream's own header is used in place of this file, under the same names.
// The static_asserts below pin the layout at compile time, src/abi.cc checks it against the library at load.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

// What sd_commit() of the engine in requirements-*.txt says.
#define PINNED_ENGINE_COMMIT "2bb7294"

enum sd_log_level_t : int { SD_LOG_DEBUG, SD_LOG_VERBOSE, SD_LOG_INFO, SD_LOG_WARN, SD_LOG_ERROR };
enum preview_t : int { PREVIEW_NONE, PREVIEW_PROJ };
enum lora_apply_mode_t : int { LORA_APPLY_AUTO, LORA_APPLY_IMMEDIATELY, LORA_APPLY_AT_RUNTIME };
enum sd_cache_mode_t : int {
  SD_CACHE_DISABLED,
  SD_CACHE_EASYCACHE,
  SD_CACHE_UCACHE,
  SD_CACHE_DBCACHE,
  SD_CACHE_TAYLORSEER,
  SD_CACHE_CACHE_DIT,
  SD_CACHE_SPECTRUM
};
enum sd_cancel_mode_t : int { SD_CANCEL_ALL, SD_CANCEL_NEW_LATENTS, SD_CANCEL_RESET };
// Values are taken from the library by name (str_to_sample_method, str_to_scheduler).
enum sample_method_t : int {};
enum scheduler_t : int {};
enum sd_hires_upscaler_t : int { SD_HIRES_UPSCALER_NONE };  // the others by name (str_to_sd_hires_upscaler)

// A textual inversion, and the word of a prompt that stands for it.
struct sd_embedding_t {
  const char* name;
  const char* path;
};

// How a model is loaded. Strings are borrowed until new_sd_ctx returns; null means "not given".
struct sd_ctx_params_t {
  const char* model_path;
  const char* reserved_text_encoders[2];
  const char* clip_vision_path;
  const char* reserved_other_models[7];
  const char* vae_path;
  const char* reserved_audio_tae[3];
  const char* control_net_path;
  const char* ip_adapter_path;
  const char* reserved_motion_module;
  const sd_embedding_t* embeddings;
  uint32_t embedding_count;
  const char* photo_maker_path;
  const char* reserved_pulid;
  const char* tensor_type_rules;  // "REGEX=TYPE,...": converts the tensors that match while loading
  int n_threads;
  int reserved_types_and_rngs[4];
  lora_apply_mode_t lora_apply_mode;
  bool enable_mmap;
  bool flash_attn;
  bool diffusion_flash_attn;
  bool reserved_tae_preview_only;
  bool diffusion_conv_direct;
  bool vae_conv_direct;
  bool force_sdxl_vae_conv_scale;
  int reserved_vae_format;
  const char* reserved_max_vram;
  bool reserved_disable_prefetch;
  bool eager_load;
  const char* backend;         // where the parts compute: a device's name, or "PART=DEVICE,..."
  const char* params_backend;  // where their weights wait: the same; null: where they compute
  const char* reserved_split_mode;
  bool auto_fit;
  const char* reserved_rpc_and_model_args[2];
  bool reserved_disable_segmented_compute;
  float reserved_linear_and_attn_scale[2];
  const char* reserved_tokenizer;
  bool reserved_sage_attn;
};

// 8-bit samples, rows top to bottom, channels interleaved.
struct sd_image_t {
  uint32_t width;
  uint32_t height;
  uint32_t channel;
  uint8_t* data;
};

struct sd_guidance_params_t {
  float txt_cfg;
  float reserved_img_cfg;
  float reserved_distilled;
  const void* reserved_skip_layers[2];
  float reserved_skip_range[3];
};

struct sd_sample_params_t {
  sd_guidance_params_t guidance;
  scheduler_t scheduler;
  sample_method_t sample_method;
  int sample_steps;
  float reserved_eta;
  int reserved_shifted_timestep;
  float* reserved_custom_sigmas;
  int reserved_custom_sigmas_count;
  float reserved_flow_shift;
  const char* reserved_extra;
};

struct sd_lora_t {
  bool is_high_noise;
  float multiplier;
  const char* path;
};

// Decoding in overlapping tiles: a side of 0 is 32. In pixels of the latent, which are 8 of the picture's.
struct sd_tiling_params_t {
  bool enabled;
  bool reserved_temporal;
  int tile_size_x;
  int tile_size_y;
  float target_overlap;
  float reserved_relative_sizes[2];
  const char* reserved_extra;
};

// Steps of which the UNet's output is guessed from earlier ones. The numbers are sd_img_gen_params_init's; a mode that
// finds none of its own takes its defaults.
struct sd_cache_params_t {
  sd_cache_mode_t mode;
  uint32_t reserved[23];
};

// A second sampling at a larger size, from the latent of the first.
struct sd_hires_params_t {
  bool enabled;
  sd_hires_upscaler_t upscaler;
  const char* model_path;
  float scale;  // where there is no target
  int target_width;
  int target_height;
  int steps;
  float denoising_strength;
  int upscale_tile_size;
  float* reserved_custom_sigmas;
  int reserved_custom_sigmas_count;
};

// Pictures of one person for PhotoMaker; the prompt says by the word `img`, behind a noun, who that is.
struct sd_pm_params_t {
  sd_image_t* id_images;
  int id_images_count;
  const char* id_embed_path;  // version 2 only
  float style_strength;       // percent of the steps that are drawn without them
};

// One batch of pictures. Pointers are borrowed until generate_image returns.
struct sd_img_gen_params_t {
  const sd_lora_t* loras;
  uint32_t lora_count;
  const char* prompt;
  const char* negative_prompt;
  int clip_skip;
  sd_image_t init_image;
  sd_image_t* reserved_ref_images;
  int reserved_ref_images_count;
  const char* reserved_ref_image_args;
  sd_image_t mask_image;  // of one channel: above half is painted anew
  int width;
  int height;
  sd_sample_params_t sample_params;
  float strength;
  int64_t seed;
  int batch_count;
  sd_image_t control_image;
  float control_strength;
  sd_image_t ip_adapter_image;
  float ip_adapter_strength;
  sd_pm_params_t pm_params;
  uint64_t reserved_pulid[2];
  sd_tiling_params_t vae_tiling_params;
  sd_cache_params_t cache;
  sd_hires_params_t hires;
  uint64_t reserved_extensions;
};

struct sd_ctx_t;
struct upscaler_ctx_t;

typedef void (*sd_log_cb_t)(sd_log_level_t level, const char* text, void* data);
typedef void (*sd_progress_cb_t)(int step, int steps, float time, void* data);
typedef void (*sd_preview_cb_t)(int step, int frame_count, sd_image_t* frames, bool is_noisy, void* data);

// Callbacks are global to the process and run on the engine's threads.
void sd_set_log_callback(sd_log_cb_t callback, void* data);
void sd_set_progress_callback(sd_progress_cb_t callback, void* data);
void sd_set_preview_callback(sd_preview_cb_t callback, preview_t mode, int interval, bool denoised, bool noisy,
                             void* data);

const char* sd_commit();   // of stable-diffusion.cpp, abbreviated
const char* sd_version();  // release and commit
const char* sd_get_system_info();
int32_t sd_get_num_physical_cores();
size_t sd_list_devices(char* buffer, size_t size);
sample_method_t str_to_sample_method(const char* name);
scheduler_t str_to_scheduler(const char* name);
sd_hires_upscaler_t str_to_sd_hires_upscaler(const char* name);

void sd_ctx_params_init(sd_ctx_params_t* params);
char* sd_ctx_params_to_str(const sd_ctx_params_t* params);  // malloc'ed
sd_ctx_t* new_sd_ctx(const sd_ctx_params_t* params);        // null: reasons are in the log
void free_sd_ctx(sd_ctx_t* context);

// A ControlNet in place of the one before, if any; false: there is none then, and the reasons are in the log.
bool sd_ctx_load_control_net(sd_ctx_t* context, const char* path);

// Edges of the picture, white on black, in its place.
bool preprocess_canny(sd_image_t image, float high_threshold, float low_threshold, float weak, float strong,
                      bool inverse);

void sd_img_gen_params_init(sd_img_gen_params_t* params);
char* sd_img_gen_params_to_str(const sd_img_gen_params_t* params);  // malloc'ed
bool generate_image(sd_ctx_t* context, const sd_img_gen_params_t* params, sd_image_t** images, int* count);
void free_sd_images(sd_image_t* images, int count);
void sd_cancel_generation(sd_ctx_t* context, sd_cancel_mode_t mode);

// An ESRGAN model; null: reasons are in the log. `tile_size`: pixels of a tile's side.
upscaler_ctx_t* new_upscaler_ctx(const char* esrgan_path, bool direct, int n_threads, int tile_size,
                                 const char* backend, const char* params_backend);
void free_upscaler_ctx(upscaler_ctx_t* context);
int get_upscale_factor(upscaler_ctx_t* context);  // the model's own
bool upscale(upscaler_ctx_t* context, sd_image_t image, uint32_t factor, sd_image_t** images, int* count);

}  // extern "C"

static_assert(sizeof(void*) == 8, "the prebuilt engine is 64 bit");
static_assert(sizeof(sd_ctx_params_t) == 320, "sd_ctx_params_t");
static_assert(offsetof(sd_ctx_params_t, clip_vision_path) == 24, "clip_vision_path");
static_assert(offsetof(sd_ctx_params_t, vae_path) == 88, "vae_path");
static_assert(offsetof(sd_ctx_params_t, control_net_path) == 120, "control_net_path");
static_assert(offsetof(sd_ctx_params_t, embeddings) == 144, "embeddings");
static_assert(offsetof(sd_ctx_params_t, ip_adapter_path) == 128, "ip_adapter_path");
static_assert(offsetof(sd_ctx_params_t, photo_maker_path) == 160, "photo_maker_path");
static_assert(offsetof(sd_ctx_params_t, tensor_type_rules) == 176, "tensor_type_rules");
static_assert(offsetof(sd_ctx_params_t, n_threads) == 184, "n_threads");
static_assert(offsetof(sd_ctx_params_t, lora_apply_mode) == 204, "lora_apply_mode");
static_assert(offsetof(sd_ctx_params_t, diffusion_conv_direct) == 212, "diffusion_conv_direct");
static_assert(offsetof(sd_ctx_params_t, eager_load) == 233, "eager_load");
static_assert(offsetof(sd_ctx_params_t, backend) == 240, "backend");
static_assert(offsetof(sd_ctx_params_t, auto_fit) == 264, "auto_fit");
static_assert(offsetof(sd_ctx_params_t, reserved_tokenizer) == 304, "tokenizer");
static_assert(sizeof(sd_sample_params_t) == 96, "sd_sample_params_t");
static_assert(sizeof(sd_img_gen_params_t) == 544, "sd_img_gen_params_t");
static_assert(sizeof(sd_hires_params_t) == 56, "sd_hires_params_t");
static_assert(offsetof(sd_img_gen_params_t, init_image) == 40, "init_image");
static_assert(offsetof(sd_img_gen_params_t, mask_image) == 88, "mask_image");
static_assert(offsetof(sd_img_gen_params_t, control_image) == 240, "control_image");
static_assert(offsetof(sd_img_gen_params_t, hires) == 480, "hires");
static_assert(offsetof(sd_img_gen_params_t, width) == 112, "width");
static_assert(offsetof(sd_img_gen_params_t, seed) == 224, "seed");
static_assert(offsetof(sd_img_gen_params_t, ip_adapter_image) == 272, "ip_adapter_image");
static_assert(offsetof(sd_img_gen_params_t, ip_adapter_strength) == 296, "ip_adapter_strength");
static_assert(offsetof(sd_img_gen_params_t, pm_params) == 304, "pm_params");
static_assert(offsetof(sd_pm_params_t, style_strength) == 24, "style_strength");
static_assert(sizeof(sd_pm_params_t) == 32, "sd_pm_params_t");
static_assert(sizeof(sd_tiling_params_t) == 32, "sd_tiling_params_t");
static_assert(offsetof(sd_tiling_params_t, tile_size_x) == 4, "tile_size_x");
static_assert(offsetof(sd_tiling_params_t, target_overlap) == 12, "target_overlap");
static_assert(offsetof(sd_img_gen_params_t, vae_tiling_params) == 352, "vae_tiling_params");
static_assert(offsetof(sd_img_gen_params_t, cache) == 384, "cache");
