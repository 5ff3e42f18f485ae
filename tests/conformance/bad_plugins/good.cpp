#include "small_radio.hpp"

BAD_PLUGIN(bad::radio);
