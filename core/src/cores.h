// How many processors there are for this process.
#pragma once

#include <string>

namespace pbgen {

// Processors that this process may run on, or as many of them as the quota of its container pays for, if that is less; at
// least 1.
unsigned usable_cores();

// How many whole processors the control groups of this process pay for, at least 1; UINT_MAX where they set no limit.
// Read below `root`, which is empty but in tests.
unsigned quota_cores(const std::string& root);

}  // namespace pbgen
