#pragma once

#include <napi.h>

#include <string>

#include "specs.h"

// Throw a JS Error with code `invalid_argument` and a message "Expected X for NAME but received Y".
LoadSpec read_load_options(const Napi::Value& value);
GenerateSpec read_generate_options(const Napi::Value& value);
std::string read_text(const Napi::Value& value, const char* name);
bool read_flag(const Napi::Value& value, const char* name);

// An Error with `.code`, as everything that this addon throws or rejects with.
Napi::Error coded_error(Napi::Env env, const std::string& code, const std::string& message);
