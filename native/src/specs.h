#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

// What JavaScript asked for, as plain values: read and checked on the JS thread, used on the engine's.

// Side of the picture that the IP-Adapter's image encoder (CLIP ViT) reads. Other sizes are refused: the engine's
// own resize truncates the scaled side in floating point and may then read outside the picture.
constexpr uint32_t kReferenceSide = 224;

// The engine's names, of those that SDXL can use.
inline const std::vector<std::string> kSamplers = {
    "euler",         "euler_a", "heun",   "dpm2",         "dpm++2s_a",      "dpm++2m", "dpm++2mv2",
    "dpm++2m_sde",   "lms",     "ipndm",  "ipndm_v",      "ddim_trailing",  "lcm",     "tcd",
    "res_multistep", "res_2s",  "er_sde", "euler_cfg_pp", "euler_a_cfg_pp", "euler_ge"};
inline const std::vector<std::string> kSchedulers = {"discrete",   "karras",      "exponential", "ays",
                                                     "gits",       "sgm_uniform", "simple",      "smoothstep",
                                                     "kl_optimal", "lcm",         "beta"};
inline const std::vector<std::string> kHiresUpscalers = {"Latent",
                                                         "Latent (nearest)",
                                                         "Latent (nearest-exact)",
                                                         "Latent (antialiased)",
                                                         "Latent (bicubic)",
                                                         "Latent (bicubic antialiased)",
                                                         "Lanczos",
                                                         "Nearest"};

struct LoadSpec {
  std::string model, vae, clip_vision, ip_adapter, photo_maker, device;
  std::vector<std::pair<std::string, std::string>> embeddings;  // word, file
  int threads = 0;                                              // 0: the engine's choice
  bool flash_attention = false;
  bool vae_direct_convolution = false, unet_direct_convolution = false;
  bool merge_loras = false;
  bool offload_encoders = false;
  std::string text_encoder_type = "native", image_encoder_type = "native";
};

struct LoraSpec {
  std::string path;
  float scale = 1;
  bool operator==(const LoraSpec& other) const { return path == other.path && scale == other.scale; }
};

// A second sampling at a larger size.
struct HiresSpec {
  int width = 0, height = 0, steps = 0;  // of a width of 0 there is none
  float strength = 0;
  std::string upscaler, model;
};

struct GenerateSpec {
  std::string prompt, negative_prompt, sampler = "euler", scheduler = "discrete", cache = "none";
  int width = 0, height = 0, steps = 0, clip_skip = -1, count = 1;
  float guidance_scale = 0, reference_strength = 0, strength = 0, control_strength = 0;
  int64_t seed = 0;
  std::vector<LoraSpec> loras;
  std::vector<uint8_t> reference;  // RGB, kReferenceSide x kReferenceSide; empty: none
  std::vector<uint8_t> image;      // RGB, width x height: drawn from; empty: from noise
  std::vector<uint8_t> mask;       // width x height, 255 where `image` is painted anew; empty: everywhere
  std::vector<uint8_t> control;    // RGB, width x height; empty: none
  std::string control_net;         // the ControlNet's file that sees it
  bool control_canny = false;      // it sees its edges
  HiresSpec hires;
  std::vector<std::vector<uint8_t>> identity;  // as `reference`, all of one person; empty: none
  float identity_strength = 0;
  std::string upscaler;  // an ESRGAN model's file; empty: none
  bool previews = false;
  bool vae_tiling = false;
};
