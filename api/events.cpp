#include "api/events.hpp"

#include <charconv>
#include <utility>
#include <vector>

namespace cpns::api {

struct event_hub::listeners {
  std::mutex guard;
  std::map<std::uint64_t, std::function<void()>> all;
  std::uint64_t next = 1;
};

std::size_t event_hub::entry::size() const {
  return std::visit([](const auto& e) { return e.size(); }, what);
}

std::string event_hub::text_of(entry e) const {
  if (auto* text = std::get_if<std::string>(&e.what)) return std::move(*text);
  const auto& line = std::get<log::packed_line>(e.what);
  return event_text(id_of(e.id), line.event(), line.json());
}

std::shared_ptr<event_hub::listeners> event_hub::add(entry e) {
  ++next_;
  bytes_ += e.size();
  ring_.push_back(std::move(e));
  while (ring_.size() > events_max || (bytes_ > bytes_max && ring_.size() > 1)) {
    bytes_ -= ring_.front().size();
    ring_.pop_front();
  }
  return listeners_;
}

void event_hub::wake_all(const std::shared_ptr<listeners>& them) {
  if (!them) return;
  std::lock_guard lock{them->guard};
  for (const auto& [number, f] : them->all) f();
}

void event_hub::publish(std::string_view name, std::string_view data) {
  std::unique_lock lock{guard_};
  const auto wake = add({next_, event_text(id_of(next_), name, data)});
  lock.unlock();
  wake_all(wake);
}

void event_hub::publish(log::packed_line line) {
  std::unique_lock lock{guard_};
  const auto wake = add({next_, std::move(line)});
  lock.unlock();
  wake_all(wake);
}

event_hub::batch event_hub::after(std::uint64_t place, std::size_t bytes) const {
  batch out;
  out.last = place;
  std::vector<entry> found;
  {
    std::lock_guard lock{guard_};
    const auto oldest = next_ - ring_.size();
    if (place + 1 < oldest || place >= next_) {
      out.cut_off = true;
      return out;
    }
    std::size_t size = 0;
    for (auto i = static_cast<std::size_t>(place + 1 - oldest); i < ring_.size() && size <= bytes; ++i) {
      size += ring_[i].size();
      found.push_back(ring_[i]);
    }
  }
  // Without the guard: a thread that logs must not wait for it.
  for (auto& e : found) {
    const auto id = e.id;
    const auto text = text_of(std::move(e));
    if (!out.text.empty() && out.text.size() + text.size() > bytes) break;
    out.text += text;
    out.last = id;
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
