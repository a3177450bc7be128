#pragma once

#include <string>

enum class LogLevel { debug, info, warn, error };

// What lines of the engine and of ggml's back ends mean; where each was seen: docs/engine.md. Tested as a table by
// test/native/words.spec.ts.

// Memory ran out. Only errors count, for pinned memory that is not to be had is a warning and the engine goes on
// without. The one warning is the engine's last word before it gives up or aborts.
bool tells_out_of_memory(LogLevel level, const std::string& line);

// The device failed for another reason; the process aborts.
bool tells_device_error(const std::string& line);
