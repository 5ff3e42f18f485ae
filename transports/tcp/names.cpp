#include "transports/tcp/names.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace cpns::tcp {
namespace {

constexpr std::chrono::seconds refresh_after{60}, retry_after{2};
constexpr std::size_t addresses_max = 8;  // per name

struct look_up_result {
  std::vector<asio::ip::address> addresses;
  std::string failure;
};

look_up_result look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  look_up_result out;
  if (const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); failed != 0) {
    out.failure = failed == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(failed);
    return out;
  }
  for (const auto* a = list; a != nullptr && out.addresses.size() < addresses_max; a = a->ai_next) {
    asio::ip::tcp::endpoint at;
    if (a->ai_addrlen > at.capacity() || (a->ai_family != AF_INET && a->ai_family != AF_INET6)) continue;
    std::memcpy(at.data(), a->ai_addr, a->ai_addrlen);
    at.resize(a->ai_addrlen);
    if (std::find(out.addresses.begin(), out.addresses.end(), at.address()) == out.addresses.end())
      out.addresses.push_back(at.address());
  }
  ::freeaddrinfo(list);
  if (out.addresses.empty()) out.failure = "the name has no address";
  return out;
}

}  // namespace

struct name_book::way_back {
  std::mutex guard;
  asio::io_context* io = nullptr;  ///< null once the book is stopped
  name_book* book = nullptr;       ///< only used in the instance's thread
};

name_book::name_book(asio::io_context& io, std::function<void()> found)
    : found_(std::move(found)), back_(std::make_shared<way_back>()) {
  back_->io = &io;
  back_->book = this;
}

void name_book::stop() {
  std::lock_guard lock{back_->guard};
  back_->io = nullptr;
  back_->book = nullptr;
}

std::vector<asio::ip::address> name_book::of(const std::string& host) {
  boost::system::error_code a_name;
  const auto address = asio::ip::make_address(host, a_name);
  if (!a_name) return {address};
  auto& e = entries_[host];
  if (!e.asking && clock::now() >= e.next) ask(host);
  return e.known;
}

std::string name_book::why_not(const std::string& host) const {
  const auto it = entries_.find(host);
  return it == entries_.end() ? std::string{} : it->second.failure;
}

void name_book::ask(const std::string& host) {
  auto& e = entries_[host];
  const auto answer = [back = back_, host] {
    auto got = look_up(host);
    std::lock_guard lock{back->guard};
    if (back->io == nullptr) return;
    asio::post(*back->io, [back, host, got = std::move(got)]() mutable {
      if (back->book != nullptr) back->book->answered(host, std::move(got.addresses), std::move(got.failure));
    });
  };
  try {
    std::thread{answer}.detach();
    e.asking = true;
  } catch (const std::system_error& no_thread) {
    e.failure = no_thread.what();
    e.next = clock::now() + retry_after;
  }
}

/// A failed look-up keeps the known addresses: the name server may be away while the peer is there.
void name_book::answered(const std::string& host, std::vector<asio::ip::address> addresses,
                         std::string failure) {
  auto& e = entries_[host];
  e.asking = false;
  e.failure = std::move(failure);
  e.next = clock::now() + (e.failure.empty() ? refresh_after : retry_after);
  if (addresses.empty()) return;
  e.known = std::move(addresses);
  found_();
}

}  // namespace cpns::tcp
