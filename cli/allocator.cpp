// The settings of jemalloc, which it reads at the start of the process (docs/adr/0051-jemalloc.md).

// Its own thread gives freed memory back to the system, also that of a role that has no work at the moment. Four arenas are
// enough for the threads that work at a time; the default, four per core, keeps more memory.
extern "C" [[gnu::visibility("default")]] const char* malloc_conf;
const char* malloc_conf = "background_thread:true,narenas:4,dirty_decay_ms:5000,muzzy_decay_ms:0";
