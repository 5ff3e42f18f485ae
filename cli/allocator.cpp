#include "cli/allocator.hpp"

#if defined(CPNS_JEMALLOC)
#include <jemalloc/jemalloc.h>

// jemalloc reads it at the start of the process. Its own thread gives freed memory back to the system, also that of a role
// that has no work at the moment. Four arenas are enough for the threads that work at a time; the default, four per core,
// keeps more memory.
extern "C" [[gnu::visibility("default")]] const char* malloc_conf;
const char* malloc_conf = "background_thread:true,narenas:4,dirty_decay_ms:5000,muzzy_decay_ms:0";
#endif

namespace cpns::cli {

void give_memory_back_without_a_thread() {
#if defined(CPNS_JEMALLOC)
  bool thread = false;
  ::mallctl("background_thread", nullptr, nullptr, &thread, sizeof thread);
#endif
}

}  // namespace cpns::cli
