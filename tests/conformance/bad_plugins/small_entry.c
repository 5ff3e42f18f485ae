/* The size of its entry is smaller than in any version of the interface. */
#include "plugins/abi/transport.h"

static cpns_status open_it(const cpns_host* host, const cpns_open_args* args, const cpns_transport** out) {
  (void)host;
  (void)args;
  (void)out;
  return CPNS_ERROR;
}

const cpns_transport_entry_t cpns_transport_entry = {24,
                                                     CPNS_ABI_MAJOR,
                                                     CPNS_ABI_MINOR,
                                                     0,
                                                     "small",
                                                     "1",
                                                     "A radio whose entry has the wrong size",
                                                     open_it,
                                                     NULL,
                                                     0,
                                                     0};
