#include "plugins/abi/ext/statistics.h"
#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  const void* extension(const std::string& id) override {
    static constexpr cpns_ext_statistics table{
        sizeof(cpns_ext_statistics), 0,
        [](void*, void (*each)(void*, const char*, std::uint64_t), void* user) {
          static std::atomic<std::uint64_t> left{1000};
          each(user, "frames_left", --left);
        }};
    return id == CPNS_EXT_STATISTICS ? &table : nullptr;
  }
};

}  // namespace

BAD_PLUGIN(faulty);
