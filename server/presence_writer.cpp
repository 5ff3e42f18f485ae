#include "server/presence_writer.hpp"

#include <algorithm>
#include <mutex>
#include <numeric>

namespace cpns::server {
namespace {

/// The new pages, from number `told` on, are durable before page 0 tells of them, and the others lose gateways to them only
/// after page 0 is durable, so that no reader misses one: a committer may write a later batch before an earlier one.
std::vector<std::size_t> pages_in_order(std::size_t told, std::size_t pages) {
  std::vector<std::size_t> out(pages);
  std::iota(out.begin(), out.end(), std::size_t{0});
  std::rotate(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(told), out.end());
  return out;
}

}  // namespace

/// What the store has of a page.
struct presence_writer::page {
  std::mutex guard;
  bool on_its_way = false;
  bool durable = false;              ///< since the object was made, in some state
  std::optional<bytes> steady_part;  ///< without loads; none: nothing, or not known
  bytes whole;
  steady::time_point written;
};

presence_writer::presence_writer(role_context& role, std::string node, byte_array<16> start,
                                 std::function<steady::time_point()> now)
    : role_(role), node_(std::move(node)), start_(start), now_(std::move(now)) {}

std::vector<presence_page> presence_writer::pages_now() {
  auto all = role_.gateways.all(role_.now());
  while (bits_ < presence_page::bits_max && all.size() > gateways_per_page << bits_) ++bits_;
  std::vector<presence_page> out(std::size_t{1} << bits_);
  for (auto& p : out) {
    p.start = start_;
    p.bits = bits_;
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.first.value < b.first.value; });
  for (auto& [gw, traffic] : all)
    out[presence_page_of(gw, bits_)].gateways.push_back(
        {gw, std::move(traffic.connections), traffic.requests_per_minute, role_.work->of(gw)});
  return out;
}

void presence_writer::look() {
  const auto now = now_();
  if (looked_ && now - *looked_ < interval) return;
  looked_ = now;
  const auto pages = pages_now();
  while (pages_.size() < pages.size()) pages_.push_back(std::make_shared<page>());
  follow_page_0();
  std::size_t submitted = 0;
  for (const auto i : pages_in_order(told(), pages.size())) {
    if (submitted == pages_at_once || !in_turn(i)) return;
    auto steady_part = to_bytes(encode(pages[i], false).expose());
    auto whole = encode(pages[i]);
    {
      const std::lock_guard lock{pages_[i]->guard};
      const auto& p = *pages_[i];
      // A new page that changed again waits until page 0 tells of all new ones.
      if (p.on_its_way || (i >= told() && p.durable)) continue;
      const bool same = p.steady_part == steady_part;
      if (same && (now - p.written < load_interval || equal(p.whole, whole.expose()))) continue;
    }
    if (i == 0) naming_ = pages.size();
    write(i, std::move(whole), std::move(steady_part));
    ++submitted;
  }
}

void presence_writer::follow_page_0() {
  const std::lock_guard lock{pages_[0]->guard};
  if (!pages_[0]->on_its_way && pages_[0]->steady_part) named_ = naming_;
}

std::size_t presence_writer::told() const { return std::max({named_, naming_, std::size_t{1}}); }

bool presence_writer::in_turn(std::size_t number) {
  follow_page_0();
  if (named_ == pages_.size()) return true;
  if (number != 0) return number >= told();
  return std::all_of(pages_.begin() + static_cast<std::ptrdiff_t>(told()), pages_.end(), [](const auto& p) {
    const std::lock_guard lock{p->guard};
    return p->durable;
  });
}

void presence_writer::write(std::size_t number, secret_bytes whole, bytes steady_part) {
  auto p = pages_[number];
  {
    const std::lock_guard lock{p->guard};
    p->on_its_way = true;
    p->steady_part = std::move(steady_part);
    p->whole = to_bytes(whole.expose());
    p->written = now_();
  }
  auto row = presence_row(node_, number);
  storage::sealed_batch batch;
  batch.push_back({row.table, std::move(row.row), std::move(whole)});
  role_.commit(std::move(batch), [p](const status& done) {
    const std::lock_guard lock{p->guard};
    p->on_its_way = false;
    p->durable = p->durable || done;
    if (!done) p->steady_part.reset();  // the next look writes it again
  });
}

}  // namespace cpns::server
