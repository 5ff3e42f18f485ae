#include "api/events.hpp"

#include <charconv>

namespace cpns::api {

struct event_hub::listeners {
  std::mutex guard;
  std::map<std::uint64_t, std::function<void()>> all;
  std::uint64_t next = 1;
};

void event_hub::publish(std::string_view name, std::string_view data) {
  std::shared_ptr<listeners> wake;
  {
    std::lock_guard lock{guard_};
    entry e{next_, event_text(id_of(next_), name, data)};
    ++next_;
    bytes_ += e.text.size();
    ring_.push_back(std::move(e));
    while (ring_.size() > events_max || (bytes_ > bytes_max && ring_.size() > 1)) {
      bytes_ -= ring_.front().text.size();
      ring_.pop_front();
    }
    wake = listeners_;
  }
  if (!wake) return;
  std::lock_guard lock{wake->guard};
  for (const auto& [number, f] : wake->all) f();
}

event_hub::batch event_hub::after(std::uint64_t place, std::size_t bytes) const {
  std::lock_guard lock{guard_};
  batch out;
  out.last = place;
  const auto oldest = next_ - ring_.size();
  if (place + 1 < oldest || place >= next_) {
    out.cut_off = true;
    return out;
  }
  for (auto i = static_cast<std::size_t>(place + 1 - oldest); i < ring_.size(); ++i) {
    const auto& e = ring_[i];
    if (!out.text.empty() && out.text.size() + e.text.size() > bytes) break;
    out.text += e.text;
    out.last = e.id;
  }
  return out;
}

std::uint64_t event_hub::newest() const {
  std::lock_guard lock{guard_};
  return next_ - 1;
}

std::optional<std::uint64_t> event_hub::place_of(std::string_view id) const {
  if (!id.starts_with(run_) || id.size() <= run_.size() + 1 || id[run_.size()] != '-') return std::nullopt;
  id.remove_prefix(run_.size() + 1);
  std::uint64_t place = 0;
  const auto [end, ec] = std::from_chars(id.data(), id.data() + id.size(), place);
  if (ec != std::errc{} || end != id.data() + id.size()) return std::nullopt;
  std::lock_guard lock{guard_};
  if (place >= next_ || place + 1 < next_ - ring_.size()) return std::nullopt;
  return place;
}

event_hub::ticket event_hub::listen(std::function<void()> wake) {
  std::shared_ptr<listeners> to;
  {
    std::lock_guard lock{guard_};
    if (!listeners_) listeners_ = std::make_shared<listeners>();
    to = listeners_;
  }
  std::lock_guard lock{to->guard};
  const auto number = to->next++;
  to->all.emplace(number, std::move(wake));
  return {nullptr, [to, number](void*) {
            std::lock_guard held{to->guard};
            to->all.erase(number);
          }};
}

std::string event_text(std::string_view id, std::string_view name, std::string_view data) {
  std::string out;
  if (!id.empty()) out += "id: " + std::string{id} + "\n";
  out += "event: " + std::string{name} + "\ndata: " + std::string{data} + "\n\n";
  return out;
}

}  // namespace cpns::api
