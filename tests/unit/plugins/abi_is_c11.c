/* The interface also serves authors in C: this must compile as C11. */
#include "plugins/abi/ext/fd.h"
#include "plugins/abi/ext/rssi.h"
#include "plugins/abi/ext/timer.h"
#include "plugins/abi/transport.h"
#include "plugins/sdk/parameters.h"

_Static_assert(sizeof(cpns_status) == 4, "a status is 32 bits wide");
_Static_assert(sizeof(cpns_limits) == 24, "limits have no padding");
_Static_assert(offsetof(cpns_transport_entry_t, abi_major) == 4,
               "a host reads the version of any entry here");
