#pragma once

#include <string>

// What a job failed with; becomes a JS Error with `.code`.
struct Failure {
  std::string code, message;
};
