#pragma once
// The implementation of pne_machine. Private to protocol/pne/.

#include <deque>
#include <list>
#include <vector>

#include "protocol/constants.hpp"
#include "protocol/pne/context.hpp"
#include "protocol/pne/pne_machine.hpp"
#include "protocol/rate.hpp"

namespace cpns::protocol {

/// Contexts and budget of one link.
struct pne_peer {
  explicit pne_peer(pne_link which);
  pne_link link;
  std::vector<pne_context> contexts;  ///< the latest last, at most context_count
  rate_limit answers, hints, openings;
};

struct pne_machine::impl {
  impl(pne_settings settings_in, pne_record record_in, const crypto::suite& s_in, entropy& random_in,
       time_point now);

  void handle_frame(time_point now, pne_link link, byte_view message);
  void handle_link_down(time_point now, pne_link link);
  void handle_timeout(time_point now);
  void handle_persist_failed(time_point now);
  void fire(pne_trigger t, time_point now);
  std::optional<pne_output> poll_output();
  [[nodiscard]] time_point next_deadline() const;

  // The arguments of a trigger's action: set before fire().
  struct subject {
    pne_peer* peer = nullptr;
    byte_view message;
    const discovery_request* dreq = nullptr;
    std::uint8_t suite = 0;
    pne_context* context = nullptr;
    const key_delivery* kdel = nullptr;
    std::optional<opened_delivery> opened;
    failure::reason_t hint = failure::reason_t::bad_message;
    std::string why;
  };

  pne_settings settings;
  pne_record record;
  const crypto::suite& s;
  entropy& random;
  pne_state state = pne_state::unkeyed;
  time_point windows_since;
  std::list<pne_peer> peers;       ///< the last heard one last; at most pne_links_max
  std::optional<pne_link> holder;  ///< link of the last verified KDEL or KRET: never evicted for another link
  std::deque<pne_output> outputs;
  std::optional<pne_record> saved;      ///< the durable record during a write; none: equal to `record`
  std::optional<pne_record> in_flight;  ///< the write that the driver polled last
  std::uint64_t dropped = 0;
  subject about;

 private:
  void on(time_point now, const discovery_request& m);
  void on(time_point now, const key_delivery& m);
  void on(time_point now, const key_retire& m);
  void refuse(pne_trigger t, time_point now, failure::reason_t hint, std::string why);

  [[nodiscard]] std::optional<std::pair<failure::reason_t, std::string>>
  refusal_of(time_point now, const key_delivery& m) const;
  [[nodiscard]] pne_secrets secrets() const { return {s, settings.entity, settings.temporary_key, record}; }
  pne_peer& peer_of(pne_link link);
  void forget_contexts();
  [[nodiscard]] bool any_open() const;
  [[nodiscard]] static bool any_open(const pne_peer& p);
  [[nodiscard]] bool window_open(time_point now, seconds length) const {
    return now - windows_since < length;
  }

  void perform(pne_action a, time_point now);
  void answer(time_point now);
  void store_and_confirm();
  void retire();
  void drop(time_point now);
  void erase();
  void rest(time_point now);
  /// `retired`: of pne_persist.
  void persist_change(pne_record before, std::optional<stored_key> retired = {});
  void emit(pne_event::kind_t kind, std::optional<epoch> which = {}, std::string why = {});
};

}  // namespace cpns::protocol
