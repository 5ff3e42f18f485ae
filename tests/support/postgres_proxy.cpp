#include "tests/support/postgres_proxy.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <deque>

namespace cpns::test {

namespace {

using deed = postgres_fault::deed;

constexpr int look_again = 20;  ///< milliseconds until a thread sees that it has to stop

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  return at;
}

std::string number(std::uint32_t v, int size) {
  std::string out;
  for (int shift = size * 8 - 8; shift >= 0; shift -= 8) out += static_cast<char>(v >> shift & 0xff);
  return out;
}

std::uint32_t number_at(const std::string& from, std::size_t at) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < 4; ++i) out = out << 8 | static_cast<std::uint8_t>(from[at + i]);
  return out;
}

std::string message(char type, const std::string& body) {
  return type + number(static_cast<std::uint32_t>(body.size()) + 4, 4) + body;
}

/// An ErrorResponse (E) or a NoticeResponse (N).
std::string report(char type, const std::string& severity, const std::string& sqlstate) {
  const auto field = [](char code, const std::string& text) { return code + text + '\0'; };
  return message(type, field('S', severity) + field('V', severity) + field('C', sqlstate) +
                           field('M', "a fault of the test") + '\0');
}

std::string text_at(const std::string& from, std::size_t at) { return from.c_str() + at; }

/// Removes the first whole message of `buffer`. `headless`: the first message of a client has no type.
std::optional<std::string> next(std::string& buffer, bool headless) {
  const std::size_t head = headless ? 0 : 1;
  if (buffer.size() < head + 4) return std::nullopt;
  const auto size = head + number_at(buffer, head);
  if (buffer.size() < size) return std::nullopt;
  auto out = buffer.substr(0, size);
  buffer.erase(0, size);
  return out;
}

bool send_all(int to, const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const auto n = ::send(to, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool receive(int from, std::string& to) {
  std::array<char, 65536> some;
  const auto n = ::recv(from, some.data(), some.size(), 0);
  if (n > 0) to.append(some.data(), static_cast<std::size_t>(n));
  return n > 0;
}

/// Whether a message of the server is the last one of its answer to a message of `type`.
bool ends(char type, char answer) {
  switch (type) {
  case 'P': return answer == '1';
  case 'B': return answer == '2';
  case 'D': return answer == 'T' || answer == 'n';
  case 'E': return answer == 'C' || answer == 'I' || answer == 's';
  default: return answer == 'Z';
  }
}

}  // namespace

/// One connection of the client, with its own to the server.
struct postgres_proxy::link {
  struct asked {
    char type = 0;
    std::optional<postgres_fault> fault;
  };

  link(postgres_proxy& of, descriptor from) : owner(of), client(std::move(from)) {
    thread = std::thread([this] { run(); });
  }
  ~link() {
    ended = true;
    thread.join();
  }

  void run();
  bool connect();
  bool take_from_client(const std::string& m);
  bool take_from_server(const std::string& m);
  bool begin(const std::string& m);
  postgres_message read(const std::string& m);
  bool answer(const std::string& m, const postgres_fault& f);
  bool refuse(const postgres_fault& f);
  void end_with(const std::string& last);

  postgres_proxy& owner;
  descriptor client, server;
  std::atomic<bool> ended{false};
  bool started = false;
  bool skipping = false;  ///< to the end of the pipeline, behind an error that the server did not report
  std::string prepared, first;
  std::deque<asked> open;  ///< what the server has not answered yet
  std::thread thread;
};

void postgres_proxy::link::run() {
  std::string from_client, from_server;
  if (!connect()) return client.close();
  const auto pass = [this](std::string& from, bool of_client) {
    while (auto m = next(from, of_client && !started))
      if (!(of_client ? take_from_client(*m) : take_from_server(*m))) return false;
    return true;
  };
  while (!ended && !owner.stopping_) {
    std::array<pollfd, 2> waiting{pollfd{client.get(), POLLIN, 0}, pollfd{server.get(), POLLIN, 0}};
    if (owner.frozen_) ::poll(nullptr, 0, look_again);
    if (owner.frozen_ || ::poll(waiting.data(), 2, look_again) <= 0 || owner.frozen_) continue;
    if (waiting[1].revents != 0 && !(receive(server.get(), from_server) && pass(from_server, false))) break;
    if (waiting[0].revents != 0 && !(receive(client.get(), from_client) && pass(from_client, true))) break;
  }
  client.close();
  server.close();
}

bool postgres_proxy::link::connect() {
  server = descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto at = loopback(owner.behind_);
  const int on = 1;
  for (const int s : {client.get(), server.get()}) ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return ::connect(server.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
}

/// Sends the last words, and waits until the client has them.
void postgres_proxy::link::end_with(const std::string& last) {
  server.close();
  send_all(client.get(), last);
  ::shutdown(client.get(), SHUT_WR);
  pollfd waiting{client.get(), POLLIN, 0};
  std::string rest;
  while (::poll(&waiting, 1, 1000) > 0 && receive(client.get(), rest)) {
  }
}

bool postgres_proxy::link::begin(const std::string& m) {
  started = true;
  auto fault = owner.take({'A', ""});
  if (fault && fault->does == deed::refuse) {
    end_with(report('E', "FATAL", fault->sqlstate));
    return false;
  }
  open.push_back({'A', std::move(fault)});
  return send_all(server.get(), m);
}

postgres_message postgres_proxy::link::read(const std::string& m) {
  constexpr std::size_t body = 5;
  const auto named = [&](std::size_t at, const std::string& unnamed) {
    const auto name = text_at(m, at);
    return name.empty() ? unnamed : name;
  };
  if (m[0] == 'Q') return {'Q', text_at(m, body)};
  if (m[0] == 'S') return {'S', std::exchange(first, "")};
  if (m[0] == 'P') prepared = named(body, text_at(m, body + 1));
  // Bind: the name of the portal, then that of the statement, which stays the last one if both are empty.
  if (m[0] == 'B') prepared = named(body + text_at(m, body).size() + 1, prepared);
  if (m[0] == 'E' && first.empty()) first = prepared;
  return {m[0], prepared};
}

bool postgres_proxy::link::refuse(const postgres_fault& f) {
  open.push_back({'P', f});
  return send_all(server.get(),
                  message('P', std::string(1, '\0') + "a fault of the test" + '\0' + number(0, 2)));
}

bool postgres_proxy::link::take_from_client(const std::string& m) {
  if (!started) return begin(m);
  if (std::string_view("PBDESQ").find(m[0]) == std::string_view::npos) return send_all(server.get(), m);
  const auto what = read(m);
  auto fault = owner.take(what);
  if (fault && fault->does == deed::refuse) {
    if (!refuse(*fault)) return false;
    if (what.type != 'S') return true;
    fault.reset();
  }
  const bool answer_now = fault && what.type != 'S';
  open.push_back({what.type, std::move(fault)});
  return send_all(server.get(), answer_now ? m + message('H', "") : m);
}

/// Instead of the last message of an answer.
bool postgres_proxy::link::answer(const std::string& m, const postgres_fault& f) {
  switch (f.does) {
  case deed::lose: end_with(""); return false;
  case deed::half: end_with(m.substr(0, m.size() - 1)); return false;
  case deed::report: end_with(report('E', "FATAL", f.sqlstate)); return false;
  case deed::warn: return send_all(client.get(), report('N', "WARNING", "01000") + m);
  case deed::hold: ::poll(nullptr, 0, static_cast<int>(f.time.count())); return send_all(client.get(), m);
  default: break;
  }
  skipping = m[0] != 'Z';
  return send_all(client.get(), report('E', "ERROR", f.sqlstate) + (skipping ? "" : m));
}

bool postgres_proxy::link::take_from_server(const std::string& m) {
  if (open.empty()) return send_all(client.get(), m);
  auto of = open.front();
  if (m[0] == 'E') {
    while (!open.empty() && open.front().type != 'S' && open.front().type != 'Q') open.pop_front();
    if (!of.fault || of.fault->does != deed::refuse) return skipping || send_all(client.get(), m);
    if (of.fault->fatal) {
      end_with(report('E', "FATAL", of.fault->sqlstate));
      return false;
    }
    return send_all(client.get(), report('E', "ERROR", of.fault->sqlstate));
  }
  const bool last = ends(of.type, m[0]);
  if (last) open.pop_front();
  if (last && of.fault) return answer(m, *of.fault);
  if (m[0] == 'Z') skipping = false;
  return skipping || send_all(client.get(), m);
}

postgres_proxy::postgres_proxy(std::uint16_t behind)
    : behind_(behind), listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  auto at = loopback(0);
  socklen_t size = sizeof at;
  EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&at), size), 0);
  EXPECT_EQ(::listen(listening_.get(), 64), 0);
  ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&at), &size);
  port_ = ntohs(at.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

postgres_proxy::~postgres_proxy() {
  stopping_ = true;
  acceptor_.join();
}

void postgres_proxy::accept_all() {
  while (!stopping_) {
    pollfd waiting{listening_.get(), POLLIN, 0};
    if (frozen_) ::poll(nullptr, 0, look_again);
    if (frozen_ || ::poll(&waiting, 1, look_again) <= 0) continue;
    descriptor from(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!from.valid()) continue;
    const std::lock_guard lock(mutex_);
    links_.push_back(std::make_unique<link>(*this, std::move(from)));
  }
}

storage::postgres_settings postgres_proxy::through(storage::postgres_settings s) const {
  s.hosts = {{"127.0.0.1", port_}};
  s.tls = storage::postgres_tls::disable;
  return s;
}

void postgres_proxy::arm(std::vector<postgres_fault> faults) {
  const std::lock_guard lock(mutex_);
  faults_ = std::move(faults);
  heard_.clear();
}

std::size_t postgres_proxy::left() const {
  const std::lock_guard lock(mutex_);
  return faults_.size();
}

std::vector<postgres_message> postgres_proxy::heard() const {
  const std::lock_guard lock(mutex_);
  return heard_;
}

void postgres_proxy::cut() {
  const std::lock_guard lock(mutex_);
  for (auto& l : links_) l->ended = true;
}

/// The fault that the message meets.
std::optional<postgres_fault> postgres_proxy::take(const postgres_message& m) {
  const std::lock_guard lock(mutex_);
  heard_.push_back(m);
  std::optional<postgres_fault> out;
  for (auto& f : faults_) {
    if (f.at.type != m.type || (!f.at.statement.empty() && f.at.statement != m.statement)) continue;
    if (f.after > 0) {
      --f.after;
    } else if (!out) {
      out = f;
      --f.times;
    }
  }
  std::erase_if(faults_, [](const postgres_fault& f) { return f.times == 0; });
  return out;
}

}  // namespace cpns::test
