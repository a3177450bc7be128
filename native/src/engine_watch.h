#pragma once

#include <stable-diffusion.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "engine_words.h"

enum class Phase { loading, text, image, sampling, decoding, done };
const char* phase_name(Phase phase);

// The engine's levels have other numbers in other versions, and newer ones a `verbose` that quotes prompts: it and
// everything below info are debug.
LogLevel log_level(sd_log_level_t level);
const char* level_name(LogLevel level);

struct Preview {
  std::vector<uint8_t> pixels;  // RGB
  int width = 0, height = 0;
};

// `loading`: tensors read, of all in the current file. `sampling`: steps done.
struct Step {
  Phase phase = Phase::text;
  int step = 0, steps = 0;
  Preview preview;
};

// Tensors of a LoRA's file: applied to some part of the model; looked at, by all parts together; by one part at most.
struct LoraCount {
  size_t applied = 0, total = 0, most = 0;
};

// Follows one call into the engine through its callbacks: where it is, what was applied, what went wrong.
//
// The engine says most of this only in its log, and answers "ok" when an adapter or a LoRA was lost: the log lines
// are the one proof that they were used. Its callbacks are global to the process and run on its own threads, so at
// most one watch lives at a time (the addon's permit sees to that) and a lock guards what they write.
class EngineWatch {
 public:
  struct Listeners {
    std::function<void(Step)> step;
    // Asked at every callback: the moments at which the engine can be stopped.
    std::function<void()> interrupt;
    // Asked between steps. Not given: nobody wants previews.
    std::function<bool()> wants_previews = {};
  };

  // `passes`: the steps of each sampling, in order: one for each picture of a batch, then one for each at a larger
  // size.
  // `adapter`: the text comes after the pictures of IP-Adapter or PhotoMaker, and else after the one to begin from.
  EngineWatch(Phase first, bool adapter, std::vector<int> passes, Listeners listeners);
  ~EngineWatch();
  EngineWatch(const EngineWatch&) = delete;
  EngineWatch& operator=(const EngineWatch&) = delete;

  // To be read after the engine returned.
  bool adapter_applied() const { return adapter_applied_; }
  bool photo_maker_applied() const { return photo_maker_applied_; }
  // While loading: its file could not be read.
  bool lost_photo_maker() const { return phase_ == Phase::loading && !photo_maker_complaint_.empty(); }
  // The engine's first warning about PhotoMaker: each means a picture, or a model, without it.
  const std::string& photo_maker_complaint() const { return photo_maker_complaint_; }
  bool out_of_memory() const { return out_of_memory_; }
  // Parts of the model whose weights do not wait on the device, in the engine's words for them.
  const std::vector<std::string>& parts_in_ram() const { return parts_in_ram_; }
  // The engine ran out of memory as it decoded the picture at once, and did it again in tiles.
  bool retried_in_tiles() const { return retried_in_tiles_; }
  // How often the text encoders ran for each prompt, in the order in which the engine encoded them.
  const std::vector<int>& text_chunks() const { return text_chunks_; }
  LoraCount lora(const std::string& path) const;

  double milliseconds(Phase phase) const { return spent_[(int)phase]; }
  // The engine's last errors, for a message; "" when it said nothing.
  std::string errors() const;

 private:
  static void on_log(sd_log_level_t level, const char* text, void*);
  static void on_progress(int step, int steps, float seconds, void*);
  static void on_preview(int step, int count, sd_image_t* frames, bool noisy, void*);
  friend void install_callbacks();

  friend void log_line(LogLevel level, const std::string& line);

  void read_line(LogLevel level, const std::string& line);
  void read_encoding(const std::string& line);
  void read_complaint(LogLevel level, const std::string& line);
  bool read_lora_count(const std::string& line);
  void read_placement(const std::string& line);
  void read_phase(const std::string& line);
  void end_pass();
  void progress(int step, int steps);
  void offer_previews() const;
  void enter(Phase phase);

  const Listeners listeners_;
  const bool adapter_;
  const std::vector<int> passes_;
  const int steps_;  // of all passes
  Phase phase_;
  size_t pass_ = 0;
  int before_ = 0, step_ = 0;  // steps of the passes that ended; of all so far
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  double spent_[6] = {};  // milliseconds by Phase
  bool photo_maker_applied_ = false;
  std::string photo_maker_complaint_;
  bool adapter_applied_ = false, out_of_memory_ = false, retried_in_tiles_ = false;
  std::map<std::string, LoraCount> loras_;
  std::vector<int> text_chunks_;
  std::vector<std::string> errors_, parts_in_ram_;
};

// Called for every line of at least this level that the engine logs, on the engine's threads. One in the process; the
// newest wins.
using LogListener = std::function<void(LogLevel level, const std::string& line)>;
void set_log_listener(const void* owner, LogLevel least, LogListener listener);
// Takes the listener away if it is still `owner`'s. Once this returns, it is not running either.
void clear_log_listener(const void* owner);

// A line of the engine's parts that do not log through it, such as a back end that is being loaded.
void log_line(LogLevel level, const std::string& line);

// Once per process, before the engine is used. Without a callback the engine prints to standard output.
void install_callbacks();
