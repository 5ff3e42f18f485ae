#pragma once
// The implementation of the supervisor: supervisor.cpp (devices, timers), supervisor_links.cpp (radios, links, detection),
// supervisor_requests.cpp (questions and commands of the API), supervisor_rest.cpp (devices without an actor). Private to
// actors/pn_gw/.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "actors/deadline_heap.hpp"
#include "actors/pn_gw/device.hpp"
#include "actors/pn_gw/device_book.hpp"
#include "actors/pn_gw/packed_rest.hpp"
#include "actors/pn_gw/permit_window.hpp"
#include "actors/pn_gw/strangers.hpp"
#include "actors/pn_gw/supervisor.hpp"
#include "actors/pn_gw/unproven_links.hpp"
#include "base/ordered_table.hpp"
#include "base/seldom.hpp"
#include "base/shared_text.hpp"
#include "protocol/pn_gw/detector.hpp"

namespace cpns::actors {

class supervisor_state {
 public:
  supervisor_state(supervisor_actor::pointer self, supervisor_parts parts);

  void drain_inboxes();
  void set_deadline(const sup_deadline& m);
  void unneeded(const sup_unneeded& m);
  void evicted(const sup_evicted& m);
  void may_rest(const sup_may_rest& m);
  void rested(const sup_rested& m);
  void unreadable(const sup_unreadable& m);
  void close_link(const sup_close_link& m);
  void link_proven(const sup_link_proven& m);
  void link_judged(const sup_link_judged& m);
  void timer(const sup_timer& m);
  void settings(const sup_settings& m);
  bool stop();

  [[nodiscard]] gw_view stats() const;
  [[nodiscard]] gw_view radios() const;
  caf::result<gw_view> page(const sup_page& m) const;
  caf::result<gw_view> show(const sup_show& m) const;
  caf::result<std::string> command(const sup_command& m);
  caf::result<std::string> forget_device(const sup_forget& m);
  gw_permit permit(const sup_permit& m);

 private:
  /// Messages for a device whose actor was asked to rest: it may end before it has them.
  using held_messages = std::vector<std::function<void(const device_actor&)>>;
  /// What a device has while it has an actor, or messages for it are pending.
  struct at_work {
    device_actor actor;                     ///< none: it rests
    std::unique_ptr<held_messages> held{};  ///< set while the actor was asked to rest
    waiting_count waiting{};                ///< new links pending in its mailbox
  };
  struct device_entry {
    shared_text entity;
    std::unique_ptr<at_work> work;          ///< none: it rests, and no message for it is pending
    std::unique_ptr<packed_rest> rested{};  ///< set while it rests
    eviction_order::place evictable{};      ///< set while it may be evicted
    std::uint32_t links = 0;                ///< its open links
    bool evicting = false;                  ///< gw_evict was sent
    [[nodiscard]] bool is_asked_to_rest() const { return work && work->held; }
  };
  using devices_t = std::unordered_map<std::uint64_t, device_entry>;
  /// Of a link whose turn it is.
  struct detection {
    std::uint64_t number;
    protocol::detector probe;
  };
  /// The receiver of a link's messages: nobody until it is the link's turn, then a detector until a device answers, then
  /// that device.
  struct route_t {
    shared_text address;
    std::uint64_t device = 0;
    std::unique_ptr<detection> detecting;  ///< none: it is not its turn, or a device has answered
    waiting_count waiting{};               ///< messages pending in the mailbox of the device
    metrics::presence counted{};
  };

  [[nodiscard]] time_point clock() const { return parts_.clock(); }
  void arm();

  void load_unfinished();
  void go_on_with_unfinished();
  [[nodiscard]] protocol::pn_gw_settings settings_for(const std::string& entity) const;
  void send_settings();
  void reschedule_updates();
  void reschedule_some();
  void reschedule(std::uint64_t index, const device_entry& d);
  std::uint64_t spawn(const entity_id& entity, stored_device of);
  device_actor start_actor(device_parts parts);
  result<std::uint64_t> present(const std::string& entity);
  void evict(std::uint64_t device);
  void keep_alive(device_entry& d);
  bool make_room();
  void remove(devices_t::iterator it);
  void let_go(devices_t::iterator it);
  void close_links(std::uint64_t device);
  void died(const caf::down_msg& m);
  void close_permit(std::string_view event, std::string_view text);

  /// Sends `m` to the actor of the device, which goes on if it rests.
  template <class Message>
  void tell(std::uint64_t device, Message m) {
    with_actor(device,
               [this, m = std::move(m)](const device_actor& a) mutable { self_->send(a, std::move(m)); });
  }
  /// The answer of the device's actor to `m`.
  template <class Message>
  caf::result<std::string> ask(std::uint64_t device, Message m);
  /// Calls `use` now, or when it is known whether the actor ends.
  void with_actor(std::uint64_t device, std::function<void(const device_actor&)> use);
  void wake(std::uint64_t index, device_entry& d);
  void ask_to_rest(std::uint64_t device);
  void ask_due_to_rest();
  void rests_now(devices_t::iterator it, const sup_rested& m, bool idle);
  [[nodiscard]] gw_view note_of(const device_entry& d) const;

  void route(radio_event& e);
  void connect(const radio_event& e);
  void begin_detection(protocol::gw_link link, const std::string& address);
  void begin_turns();
  bool make_room_for_link();
  void detect_again(std::uint64_t transport, const std::string& address);
  void detect(std::uint64_t number, time_point now);
  void message(protocol::gw_link link, bytes& message);
  void drop(protocol::gw_link link) { parts_.radios[link.transport].inbox->count_dropped(); }
  /// Messages that were dropped.
  [[nodiscard]] std::uint64_t dropped() const;
  std::optional<std::uint64_t> device_of(const entity_id& entity);
  void forget_detection(route_t& peer);
  void forget(protocol::gw_link link, const std::string& why);

  supervisor_actor::pointer self_;
  supervisor_parts parts_;
  radio_send_fn send_;
  radio_rssi_fn rssi_;
  devices_t devices_;
  ordered_table<shared_text, std::uint64_t, text_less> by_entity_;  ///< in the order of the pages
  std::unordered_map<caf::actor_id, std::uint64_t> by_actor_;
  recent_deaths deaths_lately_;
  std::uint64_t next_device_ = 0, deaths_ = 0;
  eviction_order evictable_;
  std::size_t evicting_ = 0, resting_ = 0;
  rest_queue may_rest_;
  /// While devices at rest get deadlines of other settings: the name of the last one that has its own.
  std::optional<std::string> rescheduled_to_;
  /// After a restart, those that owe the server something: after an upgrade this can be each PNE, so few have an actor at a time.
  static constexpr std::size_t going_on_max = 1024;
  static constexpr seconds going_on_waits{
      60};                            ///< a device that waits for longer gives its place to another one
  std::deque<entity_id> unfinished_;  ///< without an actor yet
  std::unordered_set<std::uint64_t> going_on_;  ///< without a link; they leave memory as soon as they may
  seldom no_room_, cannot_go_on_;
  ordered_table<protocol::gw_link, route_t> routes_;
  std::unordered_map<std::uint64_t, protocol::gw_link> by_number_;
  std::uint64_t next_number_ = 0;
  unproven_links unproven_;
  message_credit mailboxes_{parts_.mailboxes};
  drop_line drops_;
  std::shared_ptr<shared_claimants> claimants_ = std::make_shared<shared_claimants>();
  std::shared_ptr<unproven_lines> lines_ =
      std::make_shared<unproven_lines>(4 * static_cast<int>(parts_.rules->links_max));
  const std::shared_ptr<const shared_parts> of_devices_ = std::make_shared<const shared_parts>(
      shared_parts{parts_.clock, parts_.dates, send_, rssi_, parts_.store, claimants_, lines_, parts_.history,
                   parts_.counted, parts_.tally, parts_.programs, parts_.previous});
  permit_window permit_;
  deadline_heap deadlines_, detections_;
  armed_timers armed_;
  bool stopping_ = false;
};

}  // namespace cpns::actors
