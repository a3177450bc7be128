#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

// A part of ggml that computes on one kind of device, in a library of its own.
struct BackEnd {
  std::string name;     // "cuda", from libggml-cuda-….so
  size_t devices = 0;   // that it found on this machine
  std::string problem;  // why it found none, in the words of the loader or of the back end
  // CUDA's: the compute capability of each device by its number, and the least that the back end was compiled for.
  std::map<int, double> capabilities;
  std::optional<double> least_capability;
};

// Loads the engine's loadable back ends, once in the process, and reports what became of each. Must come before
// anything asks the engine for devices: until then it has none, not even the processor. (The engine's own search looks
// for names that these files do not have, in folders where they are not.) Empty where the back ends are linked into the
// engine.
const std::vector<BackEnd>& load_back_ends();

struct DeviceMemory {
  size_t free = 0, total = 0;  // bytes
};

// Of the device of this name; makes the process known to the device, which takes memory there. Nothing where the engine
// does not tell.
std::optional<DeviceMemory> device_memory(const std::string& name);
