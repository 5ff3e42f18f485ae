#pragma once
// Searches each block of memory that is freed for a canary. It replaces the operators new and delete, so include it once
// per program, and not under a sanitizer, which does the same.

#include <malloc.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace cpns::test {

inline constexpr std::size_t canary_size = 24;
/// The canary. Filled at run time, so that the program has no constant copy of it.
inline thread_local std::array<char, canary_size> wanted{};
inline thread_local bool watching = false;
inline thread_local int blocks_with_it = 0;

inline void search_and_free(void* p) noexcept {
  if (p != nullptr && watching && ::memmem(p, ::malloc_usable_size(p), wanted.data(), canary_size) != nullptr)
    ++blocks_with_it;
  std::free(p);
}

/// The number of blocks with the canary that `work` freed.
template <class Work>
int left_by(Work work) {
  blocks_with_it = 0;
  watching = true;
  work();
  watching = false;
  return blocks_with_it;
}

}  // namespace cpns::test

[[gnu::noinline]] void* operator new(std::size_t n) {
  void* p = std::malloc(n == 0 ? 1 : n);
  if (p == nullptr) throw std::bad_alloc{};
  std::memset(p, 0, ::malloc_usable_size(p));  // what was there before is not the fault of its next user
  return p;
}
[[gnu::noinline]] void operator delete(void* p) noexcept { cpns::test::search_and_free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { cpns::test::search_and_free(p); }
