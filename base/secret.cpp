#include "base/secret.hpp"

#include <string.h>  // explicit_bzero

// Out of line: inlined into destructors, the size of a moved-from buffer misleads the compiler's warnings, and a
// comparison that the optimiser sees might lose its constant time.

namespace cpns {

void wipe(void* p, std::size_t n) noexcept {
  if (n != 0) explicit_bzero(p, n);
}

bool equal_constant_time(byte_view a, byte_view b) noexcept {
  if (a.size() != b.size()) return false;
  volatile std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference = static_cast<std::uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

}  // namespace cpns
