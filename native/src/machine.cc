#include <stable-diffusion.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "back_ends.h"
#include "exports.h"
#include "options.h"

namespace {

// Of "CUDA0"; undefined where no back end says.
Napi::Value capability_of(Napi::Env env, const std::string& device) {
  int number = 0;
  if (std::sscanf(device.c_str(), "CUDA%d", &number) != 1) return env.Undefined();
  for (const auto& back_end : load_back_ends()) {
    const auto found = back_end.capabilities.find(number);
    if (found != back_end.capabilities.end()) return Napi::Number::New(env, found->second);
  }
  return env.Undefined();
}

Napi::Value devices(const Napi::CallbackInfo& info) {
  std::string lines(sd_list_devices(nullptr, 0) + 1, '\0');
  sd_list_devices(&lines[0], lines.size());
  lines.resize(std::min(lines.find('\0'), lines.size()));
  auto list = Napi::Array::New(info.Env());
  for (size_t from = 0; from < lines.size();) {
    const auto end = std::min(lines.find('\n', from), lines.size());
    const auto line = lines.substr(from, end - from);
    from = end + 1;
    const auto tab = line.find('\t');
    if (tab == std::string::npos) continue;
    const auto name = line.substr(0, tab);
    auto device = Napi::Object::New(info.Env());
    device.Set("name", name);
    device.Set("description", line.substr(tab + 1));
    device.Set("gpu", name != "CPU" && name.compare(0, 4, "BLAS") != 0 && name.compare(0, 3, "RPC") != 0);
    const auto capability = capability_of(info.Env(), name);
    if (!capability.IsUndefined()) device.Set("capability", capability);
    list.Set(list.Length(), device);
  }
  return list;
}

Napi::Value memory_of(const Napi::CallbackInfo& info) {
  const auto memory = device_memory(read_text(info[0], "device"));
  if (!memory) return info.Env().Undefined();
  auto object = Napi::Object::New(info.Env());
  object.Set("free", (double)memory->free);
  object.Set("total", (double)memory->total);
  return object;
}

Napi::Value back_ends(const Napi::CallbackInfo& info) {
  auto list = Napi::Array::New(info.Env());
  for (const auto& back_end : load_back_ends()) {
    auto entry = Napi::Object::New(info.Env());
    entry.Set("name", back_end.name);
    entry.Set("devices", (double)back_end.devices);
    if (!back_end.problem.empty()) entry.Set("problem", back_end.problem);
    if (back_end.least_capability) entry.Set("leastCapability", *back_end.least_capability);
    list.Set(list.Length(), entry);
  }
  return list;
}

Napi::Value engine_version(const Napi::CallbackInfo& info) {
  auto version = Napi::Object::New(info.Env());
  version.Set("source", ENGINE_SOURCE);
  version.Set("commit", sd_commit());
  version.Set("version", sd_version());
  version.Set("system", sd_get_system_info());
  return version;
}

Napi::Value physical_cores(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), sd_get_num_physical_cores());
}

}  // namespace

void export_machine(Napi::Env env, Napi::Object exports) {
  exports.Set("devices", Napi::Function::New(env, devices, "devices"));
  exports.Set("deviceMemory", Napi::Function::New(env, memory_of, "deviceMemory"));
  exports.Set("backEnds", Napi::Function::New(env, back_ends, "backEnds"));
  exports.Set("engineVersion", Napi::Function::New(env, engine_version, "engineVersion"));
  exports.Set("physicalCores", Napi::Function::New(env, physical_cores, "physicalCores"));
}
