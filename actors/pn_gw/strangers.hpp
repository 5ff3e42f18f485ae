#pragma once
// What bounds strangers at a gateway, for all devices together: the memory of refused claimants, the log
// lines that anybody in range can cause, and the links that proved nothing.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/entropy.hpp"
#include "base/log.hpp"
#include "protocol/pn_gw/claimants.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"
#include "protocol/rate.hpp"

namespace cpns::actors {

/// One book for the machines of all devices. [thread-safe]
class shared_claimants final : public protocol::claimant_book {
 public:
  [[nodiscard]] time_point not_before(const entity_id& entity, std::string_view claimant) const override;
  [[nodiscard]] unsigned refusals(const entity_id& entity, std::string_view claimant) const override;
  void refused(time_point now, const entity_id& entity, std::string_view claimant,
               const protocol::claimant_wait& wait, entropy& random) override;
  void accepted(const entity_id& entity, std::string_view claimant) override;
  bool take_request(time_point now, const entity_id& entity) override;
  [[nodiscard]] time_point next_request(time_point now, const entity_id& entity) const override;

 private:
  mutable std::mutex guard_;
  protocol::claimants book_;
};

/// Lines about what nothing verified: ten a second after a burst, the rest is counted. Lines of level debug
/// have a budget of their own. [thread-safe]
class unproven_lines {
 public:
  /// `burst`: as many as a gateway writes when all its devices come for the first time.
  explicit unproven_lines(int burst);
  /// Writes the line if one may be written now; says how many were left out, seldom.
  void write(time_point now, log::level l, std::string_view event, std::string_view text,
             std::initializer_list<log::field> fields);
  [[nodiscard]] std::uint64_t left_out() const { return all_; }

 private:
  bool take(time_point now, log::level l);

  std::mutex guard_;
  protocol::rate_limit lines_, debug_lines_, summaries_;
  std::uint64_t since_summary_ = 0;
  std::atomic<std::uint64_t> all_{0};
};

/// The links that proved nothing yet. Not thread-safe.
class unproven_links {
 public:
  void add(protocol::gw_link link);
  void remove(protocol::gw_link link);
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  /// One of them by chance; none if there are none.
  [[nodiscard]] std::optional<protocol::gw_link> draw(entropy& random) const;

 private:
  struct hash {
    std::size_t operator()(const protocol::gw_link& l) const {
      return std::hash<std::uint64_t>{}(l.link * 31 + l.transport);
    }
  };
  std::vector<protocol::gw_link> all_;
  std::unordered_map<protocol::gw_link, std::size_t, hash> at_;
};

}  // namespace cpns::actors
