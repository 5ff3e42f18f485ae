#pragma once
// The allocator of the process (docs/adr/0051-jemalloc.md).

namespace cpns::cli {

/// For a process that counts its threads, to find those that a plugin leaves. Before it loads the plugin.
void give_memory_back_without_a_thread();

}  // namespace cpns::cli
