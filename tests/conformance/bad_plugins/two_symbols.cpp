#include "small_radio.hpp"

BAD_PLUGIN(bad::radio);

extern "C" CPNS_EXPORT int small_radio_debug_level;
int small_radio_debug_level = 0;
