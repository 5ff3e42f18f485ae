#pragma once
// A map in order, in few bytes per entry.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

namespace cpns {

/// A std::map adds 32 bytes to each entry, and the allocator more, which is most of the memory of a table with a million
/// small entries. Here the entries are in sorted pieces, each of which is one allocation; keys that come in ascending order
/// fill their pieces. Each insertion and each removal invalidates all iterators and references. Not thread-safe.
template <class Key, class Value, class Less = std::less<>>
class ordered_table {
 public:
  using value_type = std::pair<Key, Value>;
  static constexpr std::size_t piece_max = 128;  ///< entries

  template <class Table, class Entry>
  class basic_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = ordered_table::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = Entry*;
    using reference = Entry&;

    basic_iterator() = default;
    reference operator*() const { return of_->pieces_[piece_][at_]; }
    pointer operator->() const { return &**this; }
    basic_iterator& operator++() {
      if (++at_ == of_->pieces_[piece_].size()) ++piece_, at_ = 0;
      return *this;
    }
    basic_iterator operator++(int) {
      auto before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const basic_iterator& a, const basic_iterator& b) {
      return a.piece_ == b.piece_ && a.at_ == b.at_;
    }

   private:
    friend class ordered_table;
    basic_iterator(Table* of, std::size_t piece, std::size_t at) : of_(of), piece_(piece), at_(at) {}
    Table* of_ = nullptr;
    std::size_t piece_ = 0, at_ = 0;
  };
  using iterator = basic_iterator<ordered_table, value_type>;
  using const_iterator = basic_iterator<const ordered_table, const value_type>;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  iterator begin() { return {this, 0, 0}; }
  iterator end() { return {this, pieces_.size(), 0}; }
  [[nodiscard]] const_iterator begin() const { return {this, 0, 0}; }
  [[nodiscard]] const_iterator end() const { return {this, pieces_.size(), 0}; }

  // K: any type that Less compares with a Key.
  template <class K>
  iterator lower_bound(const K& key) {
    return lower<iterator>(*this, key);
  }
  template <class K>
  [[nodiscard]] const_iterator lower_bound(const K& key) const {
    return lower<const_iterator>(*this, key);
  }
  /// The first one that is greater than `key`.
  template <class K>
  [[nodiscard]] const_iterator upper_bound(const K& key) const {
    auto it = lower_bound(key);
    if (it != end() && !Less{}(key, it->first)) ++it;
    return it;
  }
  template <class K>
  iterator find(const K& key) {
    return found(*this, lower_bound(key), key);
  }
  template <class K>
  [[nodiscard]] const_iterator find(const K& key) const {
    return found(*this, lower_bound(key), key);
  }
  template <class K>
  [[nodiscard]] bool contains(const K& key) const {
    return find(key) != end();
  }
  /// Throws std::out_of_range if there is none.
  template <class K>
  Value& at(const K& key) {
    const auto it = find(key);
    if (it == end()) throw std::out_of_range{"ordered_table"};
    return it->second;
  }
  /// The value of `key`; a new one if there is none.
  Value& operator[](const Key& key) {
    auto it = lower_bound(key);
    if (it == end() || Less{}(key, it->first)) it = insert(it, {key, Value{}});
    return it->second;
  }
  /// Replaces the value if there is one. Fastest for keys in ascending order.
  void insert_or_assign(Key key, Value value) {
    if (!pieces_.empty() && Less{}(pieces_.back().back().first, key))
      insert(end(), {std::move(key), std::move(value)});
    else if (auto it = lower_bound(key); it != end() && !Less{}(key, it->first))
      it->second = std::move(value);
    else
      insert(it, {std::move(key), std::move(value)});
  }

  /// The entry after it.
  iterator erase(iterator it) {
    auto& p = pieces_[it.piece_];
    p.erase(p.begin() + static_cast<std::ptrdiff_t>(it.at_));
    --size_;
    if (p.empty()) {
      pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(it.piece_));
      return {this, it.piece_, 0};
    }
    if (it.piece_ + 1 < pieces_.size() && p.size() + pieces_[it.piece_ + 1].size() <= piece_max / 2)
      take_next(it.piece_);
    else if (p.size() * 4 <= p.capacity())
      p.shrink_to_fit();
    return it.at_ < p.size() ? it : iterator{this, it.piece_ + 1, 0};
  }
  /// The number of entries removed.
  template <class K>
  std::size_t erase(const K& key) {
    const auto it = find(key);
    if (it == end()) return 0;
    erase(it);
    return 1;
  }
  void clear() {
    pieces_.clear();
    size_ = 0;
  }

 private:
  using piece = std::vector<value_type>;

  template <class Iterator, class Table, class K>
  static Iterator lower(Table& of, const K& key) {
    const auto p = std::partition_point(of.pieces_.begin(), of.pieces_.end(),
                                        [&](const piece& one) { return Less{}(one.back().first, key); });
    if (p == of.pieces_.end()) return of.end();
    const auto at =
        std::partition_point(p->begin(), p->end(), [&](const value_type& e) { return Less{}(e.first, key); });
    return {&of, static_cast<std::size_t>(p - of.pieces_.begin()), static_cast<std::size_t>(at - p->begin())};
  }
  template <class Table, class Iterator, class K>
  static Iterator found(Table& of, Iterator it, const K& key) {
    return it == of.end() || Less{}(key, it->first) ? of.end() : it;
  }

  /// Before `it`, which is the lower bound of its key.
  iterator insert(iterator it, value_type e) {
    ++size_;
    if (it == end() && (pieces_.empty() || pieces_.back().size() >= piece_max)) {
      pieces_.emplace_back().push_back(std::move(e));
      return {this, pieces_.size() - 1, 0};
    }
    if (it == end()) it = {this, pieces_.size() - 1, pieces_.back().size()};
    if (pieces_[it.piece_].size() >= piece_max) it = split(it);
    auto& p = pieces_[it.piece_];
    // A vector would double its memory.
    if (p.size() == p.capacity()) p.reserve(std::min(piece_max, p.size() + p.size() / 8 + 4));
    p.insert(p.begin() + static_cast<std::ptrdiff_t>(it.at_), std::move(e));
    return it;
  }
  /// The second half of its piece becomes a piece; returns where `it` is then.
  iterator split(iterator it) {
    auto& full = pieces_[it.piece_];
    const auto half = full.size() / 2;
    const auto middle = full.begin() + static_cast<std::ptrdiff_t>(half);
    piece rest(std::make_move_iterator(middle), std::make_move_iterator(full.end()));
    full.erase(middle, full.end());
    full.shrink_to_fit();
    pieces_.insert(pieces_.begin() + static_cast<std::ptrdiff_t>(it.piece_) + 1, std::move(rest));
    return it.at_ <= half ? it : iterator{this, it.piece_ + 1, it.at_ - half};
  }
  void take_next(std::size_t at) {
    auto& next = pieces_[at + 1];
    pieces_[at].insert(pieces_[at].end(), std::make_move_iterator(next.begin()),
                       std::make_move_iterator(next.end()));
    pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }

  std::vector<piece> pieces_;  ///< in order; none is empty
  std::size_t size_ = 0;
};

}  // namespace cpns
