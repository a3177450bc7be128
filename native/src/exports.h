#pragma once

#include <napi.h>

// The parts of the addon's face to JavaScript; native/index.d.ts is their contract.

// The class Session: one loaded model that draws.
Napi::Function define_session(Napi::Env env);

// What this machine and this engine are: devices, their memory, back ends, version, cores.
void export_machine(Napi::Env env, Napi::Object exports);

// What the addon does to its process: the engine's log, the end with the parent, the end in the middle of a call.
void export_process(Napi::Env env, Napi::Object exports);
