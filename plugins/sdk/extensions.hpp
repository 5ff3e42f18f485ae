#pragma once
// Extensions of a radio in C++: a radio implements the members named in the concepts below, and returns their
// tables with
//
//   const void* extension(std::string_view id) override { return sdk::extension_of<my_radio>(id); }

#include <concepts>
#include <memory>
#include <string>
#include <string_view>

#include "../abi/ext/clock.h"
#include "../abi/ext/pairing.h"
#include "../abi/ext/power.h"
#include "../abi/ext/rssi.h"
#include "../abi/ext/statistics.h"
#include "../abi/ext/wake.h"
#include "transport.hpp"

namespace cpns::sdk {

/// Receives the counters of a radio.
class counter_sink {
 public:
  counter_sink(void (*each)(void*, const char*, std::uint64_t), void* user) : each_(each), user_(user) {}
  void operator()(const char* name, std::uint64_t value) const { each_(user_, name, value); }

 private:
  void (*each_)(void*, const char*, std::uint64_t);
  void* user_;
};

template <class R>
concept has_rssi = requires(R r) {
  { r.rssi(std::uint64_t{}) } -> std::same_as<std::int32_t>;
};
template <class R>
concept has_statistics = requires(R r, const counter_sink& sink) {
  r.statistics(sink);
};
template <class R>
concept has_power = requires(R r) {
  r.set_power(CPNS_POWER_FULL);
};
template <class R>
concept has_pairing = requires(R r) {
  { r.pairing(std::uint64_t{}) } -> std::same_as<cpns_pairing>;
  r.forget(std::string_view{});
};

/// The table of the extension `id` if `Radio` has its members, otherwise nullptr. Only for radios that
/// CPNS_TRANSPORT defines.
template <class Radio>
const void* extension_of(std::string_view id) {
  using detail::guarded;
  using detail::self;
  static constexpr auto me = [](void* c) -> Radio& { return static_cast<Radio&>(*self(c).impl); };
  if constexpr (has_rssi<Radio>) {
    static constexpr cpns_ext_rssi table{sizeof(cpns_ext_rssi), 0, [](void* c, std::uint64_t link) {
                                           std::int32_t dbm = CPNS_RSSI_UNKNOWN;
                                           guarded(self(c).out, "rssi",
                                                   [&] { return dbm = me(c).rssi(link), CPNS_OK; });
                                           return dbm;
                                         }};
    if (id == CPNS_EXT_RSSI) return &table;
  }
  if constexpr (has_statistics<Radio>) {
    static constexpr cpns_ext_statistics table{
        sizeof(cpns_ext_statistics), 0,
        [](void* c, void (*each)(void*, const char*, std::uint64_t), void* user) {
          guarded(self(c).out, "statistics", [&] {
            return me(c).statistics(counter_sink{each, user}), CPNS_OK;
          });
        }};
    if (id == CPNS_EXT_STATISTICS) return &table;
  }
  if constexpr (has_power<Radio>) {
    static constexpr cpns_ext_power table{sizeof(cpns_ext_power), 0, [](void* c, std::uint32_t power) {
                                            if (power != CPNS_POWER_FULL && power != CPNS_POWER_SAVING)
                                              return CPNS_UNSUPPORTED;
                                            return guarded(self(c).out, "power", [&] {
                                              return me(c).set_power(static_cast<cpns_power>(power)), CPNS_OK;
                                            });
                                          }};
    if (id == CPNS_EXT_POWER) return &table;
  }
  if constexpr (has_pairing<Radio>) {
    static constexpr cpns_ext_pairing table{
        sizeof(cpns_ext_pairing), 0,
        [](void* c, std::uint64_t link) {
          auto now = CPNS_PAIRING_UNKNOWN;
          guarded(self(c).out, "pairing", [&] { return now = me(c).pairing(link), CPNS_OK; });
          return now;
        },
        [](void* c, const char* address) {
          guarded(self(c).out, "forget", [&] { return me(c).forget(address ? address : ""), CPNS_OK; });
        }};
    if (id == CPNS_EXT_PAIRING) return &table;
  }
  return nullptr;
}

/// Notifies the host that a peer woke up (../abi/ext/wake.h). No effect if the host lacks the extension.
inline void tell_woke(const host& out, const std::string& address) {
  if (const auto* wake = out.find<cpns_ext_wake>(CPNS_EXT_WAKE)) wake->woke(out.context(), address.c_str());
}

/// Whether the host's time is simulated (../abi/ext/clock.h). If so, a radio uses cpns.timer/1 in place of
/// any other clock.
inline bool is_time_simulated(const host& out) { return out.find<cpns_ext_clock>(CPNS_EXT_CLOCK) != nullptr; }

/// Simulated time stands still while the result exists. Null where time is real. Release it before stop() returns.
inline std::shared_ptr<void> hold_time(const host& out) {
  const auto* clock = out.find<cpns_ext_clock>(CPNS_EXT_CLOCK);
  if (clock == nullptr) return nullptr;
  clock->hold(out.context());
  return {out.context(), [clock](void* context) { clock->release(context); }};
}

}  // namespace cpns::sdk
