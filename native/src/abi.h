#pragma once

#include <string>

// Compares the loaded engine's memory layout with the header that this addon was compiled against.
// Returns "" when they agree, else what differs. A stranger is never called with our structures.
std::string abi_mismatch();
