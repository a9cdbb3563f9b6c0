"""Does another server give this model's rewards, and if not, what is wrong with it?

texts       what is sent: golden texts, and a few long ones
protocols   how each server is asked, and where its answer has the rewards
asking      requests, one after the other, and what was refused
figures     how far two columns of rewards are apart
noise       how far they would be apart in half precision
edits       the same texts with one fault in their tokens
diagnosis   the fault that does
run         all of it
"""
