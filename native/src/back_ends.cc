#include "back_ends.h"

#include <dlfcn.h>
#include <stable-diffusion.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <sstream>

#include "engine_watch.h"

namespace {

namespace fs = std::filesystem;

// ggml's interface, found by name: the prebuilt engine brings no header of it, and an engine that is linked as a whole
// has none of these functions to show.
struct Ggml {
  void* (*load)(const char* path) = nullptr;
  size_t (*device_count)(void* back_end) = nullptr;
  void* (*own_function)(void* back_end, const char* name) = nullptr;
  void* (*device)(const char* name) = nullptr;
  void (*memory)(void* device, size_t* free, size_t* total) = nullptr;
  void (*log_set)(void (*callback)(int level, const char* text, void* data), void* data) = nullptr;
  fs::path folder;

  bool loads_back_ends() const { return load && device_count; }
};

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
}

Ggml find_ggml() {
  Ggml ggml;
  Dl_info engine{}, own{};
  if (!dladdr(reinterpret_cast<void*>(&sd_list_devices), &engine) || !engine.dli_fname) return ggml;
  // Searches the engine's library and those that it is linked to.
  void* library = dlopen(engine.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return ggml;
  find(library, "ggml_backend_load", ggml.load);
  find(library, "ggml_backend_reg_dev_count", ggml.device_count);
  find(library, "ggml_backend_reg_get_proc_address", ggml.own_function);
  find(library, "ggml_backend_dev_by_name", ggml.device);
  find(library, "ggml_backend_dev_memory", ggml.memory);
  find(library, "ggml_log_set", ggml.log_set);
  if (ggml.load && dladdr(reinterpret_cast<void*>(ggml.load), &own) && own.dli_fname)
    ggml.folder = fs::path(own.dli_fname).parent_path();
  return ggml;
}

// libggml-KIND.so, libggml-KIND-ANYTHING.so: "KIND", else "". What all of them share, libggml-base, is none.
std::string kind_of(const std::string& file) {
  static const std::string head = "libggml-", tail = ".so";
  if (file.rfind(head, 0) != 0 || file.size() <= head.size() + tail.size()) return "";
  if (file.compare(file.size() - tail.size(), tail.size(), tail) != 0) return "";
  const auto kind = file.substr(head.size(), file.find_first_of("-.", head.size()) - head.size());
  return kind == "base" ? "" : kind;
}

// Beside ggml, or where CMake installs modules. GPUs first, as ggml itself has it: its first device is the default.
std::map<std::string, std::vector<fs::path>> candidates(const fs::path& folder) {
  std::map<std::string, std::vector<fs::path>> found;
  for (const auto& where : {folder, folder.parent_path() / "bin"}) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(where, ignored)) {
      const auto kind = kind_of(entry.path().filename().string());
      if (!kind.empty()) found[kind].push_back(entry.path());
    }
  }
  return found;
}

// The first complaint of what runs while it lives, else its last word.
class Reason {
 public:
  explicit Reason(const Ggml& ggml) : ggml_(ggml) {
    if (ggml_.log_set) ggml_.log_set(hear, this);
  }
  ~Reason() {
    // What back ends say later goes where the engine's lines go; by default it would be standard error.
    if (ggml_.log_set) ggml_.log_set(pass_on, nullptr);
  }
  std::string text() const { return complaint_.empty() ? line_ : complaint_; }
  const std::map<int, double>& capabilities() const { return capabilities_; }

 private:
  enum { kDebug = 1, kInfo, kWarn, kError };  // ggml_log_level

  static LogLevel level_of(int level) {
    return level == kError  ? LogLevel::error
           : level == kWarn ? LogLevel::warn
           : level == kInfo ? LogLevel::info
                            : LogLevel::debug;
  }
  static void hear(int level, const char* text, void* self) {
    auto& reason = *static_cast<Reason*>(self);
    std::string line(text ? text : "");
    while (!line.empty() && line.back() == '\n') line.pop_back();
    if (line.empty()) return;
    reason.line_ = line;
    reason.read_capability(line);
    // Of the next ones the last is ggml's own, that the back end failed.
    if (reason.complaint_.empty() && (level == kWarn || level == kError)) reason.complaint_ = line;
    log_line(level_of(level), line);
  }
  // "  Device 0: NAME, compute capability 8.6, VMM: …": nothing else reports it.
  void read_capability(const std::string& line) {
    static const std::string label = ", compute capability ";
    const auto at = line.rfind(label);
    int device = 0;
    double capability = 0;
    if (at == std::string::npos || std::sscanf(line.c_str(), " Device %d:", &device) != 1) return;
    if (std::sscanf(line.c_str() + at + label.size(), "%lf", &capability) == 1) capabilities_[device] = capability;
  }
  static void pass_on(int level, const char* text, void*) { log_line(level_of(level), text ? text : ""); }

  const Ggml& ggml_;
  std::string complaint_, line_;
  std::map<int, double> capabilities_;
};

// Several of a kind are the same for newer and older processors: the best that runs here has the highest score.
int score(void* library) {
  int (*own)() = nullptr;
  find(library, "ggml_backend_score", own);
  return own ? own() : 1;
}

// Of ggml's list of what a back end was compiled with: "ARCHS" is "750,800".
std::optional<double> least_architecture(const Ggml& ggml, void* loaded) {
  struct Feature {
    const char *name, *value;
  };
  const auto list = ggml.own_function ? ggml.own_function(loaded, "ggml_backend_get_features") : nullptr;
  if (!list) return std::nullopt;
  std::optional<double> least;
  for (auto* one = reinterpret_cast<Feature* (*)(void*)>(list)(loaded); one && one->name; one++) {
    if (std::string(one->name) != "ARCHS") continue;
    std::istringstream numbers(one->value);
    for (std::string number; std::getline(numbers, number, ',');)
      if (const double capability = std::atof(number.c_str()) / 100; capability > 0)
        least = std::min(least.value_or(capability), capability);
  }
  return least;
}

BackEnd load(const Ggml& ggml, const std::string& kind, const std::vector<fs::path>& files) {
  BackEnd back_end;
  back_end.name = kind;
  const fs::path* best = nullptr;
  int highest = 0;
  bool loadable = false;
  for (const auto& file : files) {
    // By the loader itself first: ggml says that it failed, but not what is missing.
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      back_end.problem = dlerror();
      loadable = true;
      continue;
    }
    if (!dlsym(library, "ggml_backend_init")) continue;  // linked to the engine, which has it already
    loadable = true;
    if (score(library) > highest) best = &file, highest = score(library);
  }
  if (!loadable) return {};
  if (!best) {
    if (back_end.problem.empty()) back_end.problem = "none of its libraries is for this processor";
    return back_end;
  }
  Reason said(ggml);
  void* loaded = ggml.load(best->c_str());
  back_end.devices = loaded ? ggml.device_count(loaded) : 0;
  back_end.problem = back_end.devices > 0 ? "" : said.text();
  if (back_end.devices == 0 && back_end.problem.empty()) back_end.problem = "it found no device";
  back_end.capabilities = said.capabilities();
  if (loaded && !back_end.capabilities.empty()) back_end.least_capability = least_architecture(ggml, loaded);
  return back_end;
}

std::vector<BackEnd> load_all() {
  const auto ggml = find_ggml();
  if (!ggml.loads_back_ends()) return {};
  std::vector<BackEnd> all;
  const auto found = candidates(ggml.folder);
  for (const bool processor : {false, true}) {
    for (const auto& [kind, files] : found) {
      if ((kind == "cpu") != processor) continue;
      auto back_end = load(ggml, kind, files);
      if (!back_end.name.empty()) all.push_back(std::move(back_end));
    }
  }
  return all;
}

}  // namespace

const std::vector<BackEnd>& load_back_ends() {
  static const auto all = load_all();  // once, also when two threads ask
  return all;
}

std::optional<DeviceMemory> device_memory(const std::string& name) {
  const auto ggml = find_ggml();
  void* device = ggml.device && ggml.memory ? ggml.device(name.c_str()) : nullptr;
  if (!device) return std::nullopt;
  DeviceMemory memory;
  ggml.memory(device, &memory.free, &memory.total);
  if (memory.total == 0) return std::nullopt;  // some integrated GPUs tell none
  return memory;
}
