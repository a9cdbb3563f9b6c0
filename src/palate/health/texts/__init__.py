"""What is measured on texts: when two are the same, nearly the same, and what they look like.

forms           conversations as texts, and their keys
words           words of many texts at once, as numbers
turns           turns that a chat template would trip over
style           marks of form and wording
similarity      MinHash bands, on which near-duplicates meet
neighbours      which of them are near-duplicates indeed
distinct        texts that occur more than once, as one
overlap         runs of words that two sets of texts share
ngrams          texts as bags of hashed n-grams
"""
