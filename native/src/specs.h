#pragma once

#include <cstdint>
#include <string>
#include <vector>

// What JavaScript asked for, as plain values: read and checked on the JS thread, used on the engine's.

// Side of the picture that the IP-Adapter's image encoder (CLIP ViT) reads. Other sizes are refused: the engine's
// own resize truncates the scaled side in floating point and may then read outside the picture.
constexpr uint32_t kReferenceSide = 224;

struct LoadSpec {
  std::string model, vae, clip_vision, ip_adapter, device;
  int threads = 0;  // 0: the engine's choice
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

struct GenerateSpec {
  std::string prompt, negative_prompt, sampler = "euler", scheduler = "discrete", cache = "none";
  int width = 0, height = 0, steps = 0, clip_skip = -1;
  float guidance_scale = 0, reference_strength = 0;
  int64_t seed = 0;
  std::vector<LoraSpec> loras;
  std::vector<uint8_t> reference;  // RGB, kReferenceSide x kReferenceSide; empty: none
  bool previews = false;
  bool vae_tiling = false;
};
