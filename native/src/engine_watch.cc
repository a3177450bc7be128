#include "engine_watch.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <utility>

#include "engine_words.h"

namespace {

std::mutex mutex;  // guards these, and the state of the current watch
EngineWatch* current = nullptr;
LogListener log_listener;
LogLevel log_least = LogLevel::debug;
const void* log_owner = nullptr;

constexpr size_t kErrorsKept = 4;

bool has(const std::string& line, const char* part) { return line.find(part) != std::string::npos; }

// "src/file.cpp:123  - text\n" -> "text"
std::string message_of(const char* raw) {
  std::string line(raw ? raw : "");
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  const auto dash = line.find(" - ");
  return dash == std::string::npos ? line : line.substr(dash + 3);
}

// Said of every picture that is drawn without PhotoMaker where it is loaded, as warnings. Where it was wanted and came
// to nothing, the engine says another line as well.
bool is_expected(const std::string& line) {
  return has(line, "Provided PhotoMaker model file, but NO input ID images") ||
         has(line, "Turn off PhotoMaker for this request");
}

// An abort follows some lines at once, which they would not survive in the queue to JavaScript.
void write_at_once(const char* head, const std::string& line) { std::fprintf(stderr, "%s%s\n", head, line.c_str()); }

}  // namespace

const char* phase_name(Phase phase) {
  static const char* const names[] = {"loading", "text", "image", "sampling", "decoding", "done"};
  return names[(int)phase];
}

LogLevel log_level(sd_log_level_t level) {
  if (level >= SD_LOG_ERROR) return LogLevel::error;
  if (level >= SD_LOG_WARN) return LogLevel::warn;
  return level >= SD_LOG_INFO ? LogLevel::info : LogLevel::debug;
}

const char* level_name(LogLevel level) {
  static const char* const names[] = {"debug", "info", "warn", "error"};
  return names[(int)level];
}

void set_log_listener(const void* owner, LogLevel least, LogListener listener) {
  std::lock_guard<std::mutex> lock(mutex);
  log_listener = std::move(listener);
  log_least = least;
  log_owner = owner;
}

void clear_log_listener(const void* owner) {
  std::lock_guard<std::mutex> lock(mutex);
  if (log_owner == owner) log_listener = nullptr;
}

void install_callbacks() {
  sd_set_log_callback(EngineWatch::on_log, nullptr);
  sd_set_progress_callback(EngineWatch::on_progress, nullptr);
}

EngineWatch::EngineWatch(Phase first, bool adapter, std::vector<int> passes, Listeners listeners)
    : listeners_(std::move(listeners)),
      adapter_(adapter),
      passes_(std::move(passes)),
      steps_(std::accumulate(passes_.begin(), passes_.end(), 0)),
      phase_(first) {
  offer_previews();
  std::lock_guard<std::mutex> lock(mutex);
  current = this;
}

EngineWatch::~EngineWatch() {
  sd_set_preview_callback(nullptr, PREVIEW_NONE, 1, false, false, nullptr);
  std::lock_guard<std::mutex> lock(mutex);
  current = nullptr;
}

// The engine takes the callback once, when sampling begins, but looks before every preview whether one is to be made of
// the denoised latent: that flag is the switch, and a preview that nobody wants costs nothing. These are plain globals
// of the engine: they are written where it cannot be reading them, before it is called and inside its own callback.
void EngineWatch::offer_previews() const {
  if (!listeners_.wants_previews) return;
  sd_set_preview_callback(on_preview, PREVIEW_PROJ, 1, listeners_.wants_previews(), false, nullptr);
}

// The callbacks are called through C and ggml, which no exception may cross; out of memory, a line gets lost.
void EngineWatch::on_log(sd_log_level_t level, const char* text, void*) try {
  const auto line = message_of(text);
  log_line(is_expected(line) ? LogLevel::debug : log_level(level), line);
} catch (...) {
}

void log_line(LogLevel level, const std::string& line) {
  std::lock_guard<std::mutex> lock(mutex);
  if (current) current->read_line(level, line);
  if (log_listener && level >= log_least) log_listener(level, line);
}

void EngineWatch::on_progress(int step, int steps, float, void*) try {
  std::lock_guard<std::mutex> lock(mutex);
  if (current) current->progress(step, steps);
} catch (...) {
}

void EngineWatch::on_preview(int step, int count, sd_image_t* frames, bool, void*) try {
  std::lock_guard<std::mutex> lock(mutex);
  if (!current || count < 1 || !frames || !frames->data || frames->channel != 3) return;
  Preview preview;
  preview.width = (int)frames->width;
  preview.height = (int)frames->height;
  preview.pixels.assign(frames->data, frames->data + size_t(frames->width) * frames->height * 3);
  // It comes just before the progress of its step; samplers of second order also look half-way, at a negative step.
  const int done = std::max(current->before_ + step, current->step_);
  current->listeners_.step({Phase::sampling, done, current->steps_, std::move(preview)});
} catch (...) {
}

void EngineWatch::read_line(LogLevel level, const std::string& line) {
  if (level >= LogLevel::warn) read_complaint(level, line);
  if (level >= LogLevel::info && phase_ == Phase::loading) read_placement(line);
  if (level == LogLevel::debug && phase_ != Phase::loading) read_encoding(line);
  // Debug lines quote the prompt, which may hold any of the words below.
  if (level >= LogLevel::info && phase_ != Phase::loading) {
    if (!read_lora_count(line)) read_phase(line);
  }
  listeners_.interrupt();
}

// "parse 'PROMPT' to …" for each prompt, then one line for each time that the text encoders run. Lines that quote a
// prompt begin with other words.
void EngineWatch::read_encoding(const std::string& line) {
  if (line.rfind("parse '", 0) == 0) {
    text_chunks_.push_back(0);
  } else if (line.rfind("computing condition graph completed", 0) == 0 && !text_chunks_.empty()) {
    text_chunks_.back()++;
  }
}

void EngineWatch::read_complaint(LogLevel level, const std::string& line) {
  if (has(line, "ran out of memory; retrying with")) {  // whatever the level: it continues
    retried_in_tiles_ = true;
    return;
  }
  const bool of_photo_maker = has(line, "hotoMaker") || has(line, "hotomaker") || has(line, "stacked ID embedding");
  if (of_photo_maker && photo_maker_complaint_.empty()) photo_maker_complaint_ = line;
  if (level == LogLevel::error) {
    if (errors_.size() == kErrorsKept) errors_.erase(errors_.begin());
    errors_.push_back(line);
  }
  if (!out_of_memory_ && tells_out_of_memory(level, line)) {
    out_of_memory_ = true;
    write_at_once("out of memory: ", line);
  } else if (level == LogLevel::error && tells_device_error(line)) {
    write_at_once("", line);
  }
}

// "total params memory size = …: text_encoders 1564.36MB(VRAM), diffusion_model 5550.07MB(RAM), …"
void EngineWatch::read_placement(const std::string& line) {
  if (line.rfind("total params memory size = ", 0) != 0) return;
  static const std::string in_ram = "MB(RAM)";
  for (auto at = line.find(in_ram); at != std::string::npos; at = line.find(in_ram, at + 1)) {
    const auto number = line.rfind(' ', at);
    const auto name = number == std::string::npos ? number : line.rfind(' ', number - 1);
    if (name != std::string::npos) parts_in_ram_.push_back(line.substr(name + 1, number - name - 1));
  }
}

// "(48 / 48) LoRA tensors have been applied, lora_file_path = FILE", "Only (3 / 6) …" or "(6 / 6) incompatible …":
// one line for each part of the model that the file touches, at the end of a generation.
bool EngineWatch::read_lora_count(const std::string& line) {
  static const std::string label = "lora_file_path = ";
  const auto at = line.find(label), numbers = line.find('(');
  if (at == std::string::npos || numbers > at) return false;
  const auto head = line.substr(numbers, at - numbers);  // the path may hold any word
  auto& count = loras_[line.substr(at + label.size())];
  size_t applied = 0, total = 0;
  if (has(head, "incompatible")) {
    if (std::sscanf(head.c_str(), "(%zu / ", &applied) == 1) count.total += applied;
  } else if (std::sscanf(head.c_str(), "(%zu / %zu)", &applied, &total) == 2) {
    count.applied += applied;
    count.total += total;
    count.most = std::max(count.most, total);
  }
  return true;
}

void EngineWatch::read_phase(const std::string& line) {
  const auto starts = [&line](const char* words) { return line.rfind(words, 0) == 0; };
  if (starts("IP-Adapter: ") && has(line, " image tokens")) {
    adapter_applied_ = true;
    enter(Phase::text);
  } else if (starts("Photomaker ID Stacking, taking ")) {
    photo_maker_applied_ = true;
    enter(Phase::text);
  } else if (!adapter_ && phase_ == Phase::image && starts("encode_first_stage completed")) {
    enter(Phase::text);
  } else if (starts("generating image: ")) {
    enter(Phase::sampling);
  } else if (starts("sampling completed") || (starts("hires sampling ") && has(line, " completed"))) {
    end_pass();
  } else if (starts("decode_first_stage completed")) {
    enter(Phase::done);
  }
}

void EngineWatch::end_pass() {
  if (pass_ == passes_.size()) return;
  before_ = step_ = before_ + passes_[pass_];
  if (++pass_ == passes_.size()) enter(Phase::decoding);
}

void EngineWatch::progress(int step, int steps) {
  if (phase_ == Phase::loading) {
    listeners_.step({phase_, step, steps, {}});
  } else if (phase_ == Phase::sampling && pass_ < passes_.size() && steps == passes_[pass_] && before_ + step > step_) {
    step_ = before_ + step;
    listeners_.step({phase_, step_, steps_, {}});
  }
  if (phase_ == Phase::sampling) offer_previews();
  listeners_.interrupt();
}

void EngineWatch::enter(Phase phase) {
  if (phase == phase_) return;
  const auto now = std::chrono::steady_clock::now();
  spent_[(int)phase_] += std::chrono::duration<double, std::milli>(now - since_).count();
  since_ = now;
  phase_ = phase;
  if (phase != Phase::done) listeners_.step({phase_, step_, steps_, {}});
}

LoraCount EngineWatch::lora(const std::string& path) const {
  const auto found = loras_.find(path);
  return found == loras_.end() ? LoraCount{} : found->second;
}

std::string EngineWatch::errors() const {
  std::string all;
  for (const auto& error : errors_) all += (all.empty() ? "" : "; ") + error;
  return all;
}
