// LD_PRELOAD of this comes before the engine's new_sd_ctx: unasked, the VAE's weights stay in the processor's memory.
#include <dlfcn.h>

#include "stable-diffusion.h"

extern "C" sd_ctx_t* new_sd_ctx(const sd_ctx_params_t* params) {
  sd_ctx_params_t changed = *params;
  changed.params_backend = "vae=cpu";
  void* engine = dlopen("libstable-diffusion.so", RTLD_LAZY | RTLD_NOLOAD);
  const auto real = engine ? reinterpret_cast<decltype(&new_sd_ctx)>(dlsym(engine, "new_sd_ctx")) : nullptr;
  return real ? real(&changed) : nullptr;
}
