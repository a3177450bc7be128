#pragma once

#include <stable-diffusion.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine_watch.h"
#include "failure.h"
#include "specs.h"

struct AppliedLora {
  std::string path;
  LoraCount count;
};

// What generate_image gives, freed its way.
struct Images {
  sd_image_t* data = nullptr;
  int count = 0;

  Images() = default;
  Images(Images&& other) noexcept : data(std::exchange(other.data, nullptr)), count(std::exchange(other.count, 0)) {}
  Images& operator=(Images&& other) noexcept {
    std::swap(data, other.data);
    std::swap(count, other.count);
    return *this;
  }
  ~Images() {
    if (data) free_sd_images(data, count);
  }
};

// One picture of a batch, in what the engine allocated for it.
struct Pixels {
  std::shared_ptr<Images> owner;
  sd_image_t image;  // RGB
};

// A batch.
struct Picture {
  std::vector<Pixels> pictures;
  int width = 0, height = 0;
  std::vector<AppliedLora> loras;
  std::vector<int> text_chunks;
  bool decoded_in_tiles = false;
  double text_ms = 0, image_ms = 0, sampling_ms = 0, decode_ms = 0, engine_ms = 0;
};

using StepListener = std::function<void(Step)>;

// One loaded model: owns the engine's context. No N-API in here.
//
// Threads: `load` and `generate` block, on a worker's thread; `cancel` and `watch_previews` may be called from any.
// Only one of load/generate runs in the process at a time, because the engine's callbacks are global (EnginePermit).
// The addon's wrapper and a running job each hold a shared_ptr: the context lives until the last lets go.
class Session {
 public:
  static std::optional<Failure> load(const LoadSpec& spec, const StepListener& listener,
                                     std::shared_ptr<Session>& session);

  std::optional<Failure> generate(const GenerateSpec& spec, const StepListener& listener, Picture& picture);

  // A new job begins: called where the job is accepted, so that what is said before it starts still counts.
  void accept(const GenerateSpec& spec) {
    cancelled_ = false;
    previews_ = spec.previews;
  }
  void cancel();
  // From the next step on.
  void watch_previews(bool on) { previews_ = on; }
  bool has_ip_adapter() const { return has_ip_adapter_; }
  bool has_photo_maker() const { return has_photo_maker_; }

 private:
  Session(sd_ctx_t* context, const LoadSpec& spec)
      : context_(context, free_sd_ctx),
        has_ip_adapter_(!spec.ip_adapter.empty()),
        has_photo_maker_(!spec.photo_maker.empty()),
        merges_loras_(spec.merge_loras),
        device_(spec.device),
        threads_(spec.threads) {}
  std::optional<Failure> use_control_net(const GenerateSpec& spec, const EngineWatch& watch);
  std::optional<Failure> enlarge(const GenerateSpec& spec, const EngineWatch& watch, Picture& picture) const;
  std::optional<Failure> check(const GenerateSpec& spec, const EngineWatch& watch, Picture& picture) const;
  void follow_merges(const GenerateSpec& spec, const EngineWatch& watch);
  LoraCount count(const std::string& path, const EngineWatch& watch) const;

  std::unique_ptr<sd_ctx_t, void (*)(sd_ctx_t*)> context_;
  const bool has_ip_adapter_, has_photo_maker_, merges_loras_;
  const std::string device_;
  const int threads_;
  // The LoRAs that the weights hold, with their strengths, and what the engine logged while it added them. It adds them
  // part by part, when a picture comes to that part, and says nothing of those that are in already. Used by `generate`
  // only.
  std::vector<LoraSpec> merged_;
  std::map<std::string, LoraCount> merged_counts_;
  // The file of the ControlNet that the context has; empty: none. Used by `generate` only.
  std::string control_net_;
  std::atomic<bool> cancelled_{false}, previews_{false};
};

// The right to call into the engine; at most one exists in the process. Never waits.
class EnginePermit {
 public:
  static std::shared_ptr<EnginePermit> try_take();
  // Somebody holds it: the engine may be running.
  static bool taken();
  ~EnginePermit();

 private:
  EnginePermit() = default;
};
