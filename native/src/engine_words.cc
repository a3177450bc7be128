#include "engine_words.h"

#include <algorithm>
#include <iterator>

bool tells_out_of_memory(LogLevel level, const std::string& line) {
  static const char* const errors[] = {
      // the engine, and CUDA's and HIP's own text
      "out of memory",
      "alloc compute ",
      "alloc params ",
      "too less memory",
      "fail to memory allocation",
      // ggml, whatever the back end
      "insufficient memory",
      "failed to allocate",
      "bad_alloc",
      // CUDA, HIP and MUSA, and their libraries for matrices
      "cudaMalloc failed",
      "resource allocation failed",
      "STATUS_ALLOC_FAILED",
      // Vulkan
      "OutOfDeviceMemory",
      "OutOfHostMemory",
      "emory allocation of size",
      // Metal
      "Insufficient Memory",
      "ErrorOutOfMemory",
      // SYCL and OpenCL
      "can't allocate",
      "OUT_OF_DEVICE_MEMORY",
      "OUT_OF_HOST_MEMORY",
      "MEM_OBJECT_ALLOCATION_FAILURE",
  };
  const auto said = [&line](const char* part) { return line.find(part) != std::string::npos; };
  if (level == LogLevel::warn) return said("cannot make enough memory available");
  return level == LogLevel::error && std::any_of(std::begin(errors), std::end(errors), said);
}

// ggml has one source for the three, which names itself.
bool tells_device_error(const std::string& line) {
  static const char* const heads[] = {"CUDA error: ", "ROCm error: ", "MUSA error: "};
  const auto begins = [&line](const char* head) { return line.rfind(head, 0) == 0; };
  return std::any_of(std::begin(heads), std::end(heads), begins);
}
