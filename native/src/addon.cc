// The addon's face to JavaScript; native/index.d.ts is its contract.
#include <napi.h>

#include "abi.h"
#include "back_ends.h"
#include "exports.h"
#include "options.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  // Before anything asks the engine for devices.
  load_back_ends();
  const auto mismatch = abi_mismatch();
  if (!mismatch.empty())
    throw coded_error(env, "abi_mismatch",
                      "This is not the engine that the addon was built for (" + mismatch + "): run `npm run engine`");
  export_process(env, exports);
  exports.Set("Session", define_session(env));
  export_machine(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(addon, init)
