#include "actors/reopenable_radio.hpp"

#include <utility>

#include "base/ordered_table.hpp"

namespace cpns::actors {

using namespace plugins;

namespace {

error not_open() { return {errc::plugin_link, "the radio is not open"}; }

bool same(const transport_info& a, const transport_info& b) {
  return a.name == b.name && a.version == b.version && a.mtu == b.mtu && a.max_links == b.max_links &&
         a.max_endpoints == b.max_endpoints;
}

}  // namespace

/// One instance of the plugin: translates the ids of its links. Events that arrive after end() are dropped.
class reopenable_radio::instance final : public transport_listener {
 public:
  explicit instance(reopenable_radio& of) : of_(of) {}

  void ready(std::unique_ptr<transport> radio) {
    std::lock_guard lock{guard_};
    radio_ = std::move(radio);
  }
  /// nullptr before ready().
  [[nodiscard]] transport* radio() const {
    std::lock_guard lock{guard_};
    return radio_.get();
  }
  /// 0: the link is not up.
  [[nodiscard]] link_id inner_of(link_id link) const {
    std::lock_guard lock{guard_};
    const auto it = inner_.find(link);
    return it == inner_.end() ? 0 : it->second;
  }
  /// Closes the instance, and reports its links as down.
  void end(const std::string& why) {
    if (auto* t = radio()) t->close();
    ordered_table<link_id, link_id> left;
    {
      std::lock_guard lock{guard_};
      ended_ = true;
      left = std::exchange(inner_, {});
      outer_.clear();
    }
    for (const auto& [outer, inner] : left) of_.to_.link_down(outer, why);
  }

  void link_up(link_id link, endpoint_id endpoint, std::string address) override {
    link_id outer = 0;
    {
      std::lock_guard lock{guard_};
      if (ended_) return;
      outer = of_.new_link();
      outer_[link] = outer;
      inner_[outer] = link;
    }
    of_.to_.link_up(outer, endpoint, std::move(address));
  }
  void link_down(link_id link, std::string reason) override {
    link_id outer = 0;
    {
      std::lock_guard lock{guard_};
      const auto it = outer_.find(link);
      if (it == outer_.end()) return;
      outer = it->second;
      outer_.erase(it);
      inner_.erase(outer);
    }
    of_.to_.link_down(outer, std::move(reason));
  }
  void message(link_id link, bytes data) override {
    link_id outer = 0;
    {
      std::lock_guard lock{guard_};
      const auto it = outer_.find(link);
      if (it == outer_.end()) return;
      outer = it->second;
    }
    of_.to_.message(outer, std::move(data));
  }
  void peer_found(std::string address, std::int32_t rssi) override {
    if (!has_ended()) of_.to_.peer_found(std::move(address), rssi);
  }
  void connect_failed(std::string address, std::string why) override {
    if (!has_ended()) of_.to_.connect_failed(std::move(address), std::move(why));
  }
  void woke(std::string address) override {
    if (!has_ended()) of_.to_.woke(std::move(address));
  }
  void failed(error why) override {
    if (!has_ended()) of_.to_.failed(std::move(why));
  }

 private:
  [[nodiscard]] bool has_ended() const {
    std::lock_guard lock{guard_};
    return ended_;
  }

  reopenable_radio& of_;
  mutable std::mutex guard_;
  bool ended_ = false;
  ordered_table<link_id, link_id> outer_, inner_;  ///< by the id of the plugin, and by our id
  std::unique_ptr<transport> radio_;               ///< destroyed first: it may call until then
};

reopenable_radio::reopenable_radio(transport_listener& to) : to_(to) {}
reopenable_radio::~reopenable_radio() { reopenable_radio::close(); }

result<std::unique_ptr<reopenable_radio>> reopenable_radio::start(const open_fn& open,
                                                                  transport_listener& to) {
  auto made = std::unique_ptr<reopenable_radio>{new reopenable_radio{to}};
  CPNS_CHECK(made->open(open));
  return made;
}

std::unique_ptr<reopenable_radio> reopenable_radio::start_closed(std::string plugin, std::string why,
                                                                 transport_listener& to) {
  auto made = std::unique_ptr<reopenable_radio>{new reopenable_radio{to}};
  made->infos_.emplace_back().name = std::move(plugin);
  made->stay_closed(std::move(why));
  return made;
}

/// The former instance is dropped: one that opened, and then could not scan, would look open.
void reopenable_radio::stay_closed(std::string why) {
  const auto none = std::make_shared<instance>(*this);
  std::lock_guard lock{guard_};
  now_ = none;
  why_closed_ = std::move(why);
}

status reopenable_radio::open(const open_fn& open) {
  const auto fresh = std::make_shared<instance>(*this);
  bool scans = false;
  {
    std::lock_guard lock{guard_};
    now_ = fresh;
    why_closed_.clear();
  }
  CPNS_TRY(auto radio, open(*fresh));
  auto* opened = radio.get();
  fresh->ready(std::move(radio));
  {
    std::lock_guard lock{guard_};
    scans = scanning_;
  }
  if (scans) CPNS_CHECK(opened->scan(true));
  return {};
}

status reopenable_radio::reopen(const open_fn& fresh, const open_fn& former) {
  const std::unique_lock one{opening_, std::try_to_lock};
  if (!one) return fail(errc::state_conflict, "the radio is being opened again already");
  {
    std::lock_guard lock{guard_};
    if (closed_) return fail(errc::state_stopping, "the role is about to end");
  }
  now()->end("the radio is opened again");
  const auto opened = open(fresh);
  if (opened) return {};
  const auto& why = opened.error();
  now()->end("the radio could not be used");
  const auto again = open(former);
  if (const auto now = state(); again && now.kind == transport_state::kind_t::waiting)
    return fail(why.code,
                why.detail +
                    "; with its former parameters the radio is not open either, and waits: " + now.why);
  if (again) return fail(why.code, why.detail + "; the radio is open as it was before");
  now()->end("the radio could not be used");
  auto both =
      why.detail + "; with its former parameters it cannot be opened either: " + again.error().message();
  stay_closed(both);
  return fail(why.code, both + "; it is closed");
}

void reopenable_radio::close() {
  const std::lock_guard one{opening_};
  {
    std::lock_guard lock{guard_};
    if (std::exchange(closed_, true)) return;
  }
  if (const auto last = now())
    if (auto* t = last->radio()) t->close();
}

std::shared_ptr<reopenable_radio::instance> reopenable_radio::now() const {
  std::lock_guard lock{guard_};
  return now_;
}
link_id reopenable_radio::new_link() {
  std::lock_guard lock{guard_};
  return ++last_link_;
}
const transport_info& reopenable_radio::info() const {
  const auto current = now();
  const auto* t = current->radio();
  std::lock_guard lock{guard_};
  if (t != nullptr && (infos_.empty() || !same(infos_.back(), t->info()))) infos_.push_back(t->info());
  if (infos_.empty()) infos_.emplace_back();
  return infos_.back();
}
transport_state reopenable_radio::state() const {
  using enum transport_state::kind_t;
  std::shared_ptr<instance> current;
  {
    std::lock_guard lock{guard_};
    if (!why_closed_.empty()) return {closed, why_closed_};
    current = now_;
  }
  if (const auto* t = current->radio()) return t->state();
  return {waiting, "it is being opened again"};
}

status reopenable_radio::scan(bool on) {
  {
    std::lock_guard lock{guard_};
    scanning_ = on;
  }
  const auto current = now();
  if (auto* t = current->radio()) return t->scan(on);
  return fail(not_open());
}
status reopenable_radio::connect(std::string_view address) {
  const auto current = now();
  if (auto* t = current->radio()) return t->connect(address);
  return fail(not_open());
}
void reopenable_radio::cancel(std::string_view address) {
  const auto current = now();
  if (auto* t = current->radio()) t->cancel(address);
}
status reopenable_radio::add_endpoint(endpoint_id endpoint, std::string_view name) {
  const auto current = now();
  if (auto* t = current->radio()) return t->add_endpoint(endpoint, name);
  return fail(not_open());
}
status reopenable_radio::remove_endpoint(endpoint_id endpoint) {
  const auto current = now();
  if (auto* t = current->radio()) return t->remove_endpoint(endpoint);
  return fail(not_open());
}
status reopenable_radio::send(link_id link, byte_view message) {
  const auto current = now();
  auto* t = current->radio();
  const auto inner = current->inner_of(link);
  if (t == nullptr || inner == 0) return fail(errc::plugin_link, "the link is not up");
  return t->send(inner, message);
}
void reopenable_radio::disconnect(link_id link) {
  const auto current = now();
  auto* t = current->radio();
  const auto inner = current->inner_of(link);
  if (t != nullptr && inner != 0) t->disconnect(inner);
}
status reopenable_radio::set_power(power_level p) {
  const auto current = now();
  if (auto* t = current->radio()) return t->set_power(p);
  return fail(not_open());
}
void reopenable_radio::forget_pairing(std::string_view address) {
  const auto current = now();
  if (auto* t = current->radio()) t->forget_pairing(address);
}
link_quality reopenable_radio::quality(link_id link) const {
  const auto current = now();
  const auto* t = current->radio();
  const auto inner = current->inner_of(link);
  return t != nullptr && inner != 0 ? t->quality(inner) : link_quality{};
}
std::vector<named_counter> reopenable_radio::counters() const {
  const auto current = now();
  const auto* t = current->radio();
  return t != nullptr ? t->counters() : std::vector<named_counter>{};
}

}  // namespace cpns::actors
