#include "actors/pn_gw/address_race.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>

namespace cpns::actors {

using boost::asio::ip::tcp;

std::vector<tcp::endpoint> in_turn(const std::vector<tcp::endpoint>& resolved, std::size_t first) {
  std::vector<tcp::endpoint> ahead, behind, out;
  for (const auto& e : resolved)
    (e.address().is_v6() == resolved.front().address().is_v6() ? ahead : behind).push_back(e);
  for (std::size_t i = 0; i < std::max(ahead.size(), behind.size()); ++i) {
    if (i < ahead.size()) out.push_back(ahead[i]);
    if (i < behind.size()) out.push_back(behind[i]);
  }
  if (!out.empty())
    std::rotate(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(first % out.size()), out.end());
  return out;
}

address_race::address_race(boost::asio::io_context& io, std::vector<endpoint> addresses,
                           milliseconds head_start, done_fn done)
    : io_(io), addresses_(std::move(addresses)), head_start_(head_start), timer_(io), done_(std::move(done)) {
}

std::shared_ptr<address_race> address_race::start(boost::asio::io_context& io,
                                                  std::vector<endpoint> addresses, milliseconds head_start,
                                                  done_fn done) {
  std::shared_ptr<address_race> race{new address_race{io, std::move(addresses), head_start, std::move(done)}};
  race->next();
  return race;
}

void address_race::next() {
  if (!done_) return;
  if (attempts_.size() == addresses_.size()) {
    if (failed_ == addresses_.size()) finish(boost::asio::error::host_not_found, socket{io_}, 0);
    return;
  }
  const std::size_t place = attempts_.size();
  attempts_.push_back(std::make_unique<socket>(io_));
  attempts_.back()->async_connect(
      addresses_[place],
      [self = shared_from_this(), place](const failure& wrong) { self->ended(place, wrong); });
  if (attempts_.size() == addresses_.size()) return;
  timer_.expires_after(head_start_);
  timer_.async_wait([self = shared_from_this()](const failure& cancelled) {
    if (!cancelled) self->next();
  });
}

void address_race::ended(std::size_t place, const failure& wrong) {
  if (!done_) return;
  if (!wrong) return finish({}, std::move(*attempts_[place]), place);
  failure ignored;
  attempts_[place]->close(ignored);
  if (++failed_ == addresses_.size()) return finish(wrong, socket{io_}, place);
  timer_.cancel();
  next();
}

void address_race::finish(const failure& wrong, socket reached, std::size_t place) {
  const auto done = std::exchange(done_, {});
  cancel();
  done(wrong, std::move(reached), place);
}

void address_race::cancel() {
  done_ = {};
  timer_.cancel();
  failure ignored;
  for (auto& s : attempts_) s->close(ignored);
}

}  // namespace cpns::actors
