"""What tells the preferred response from the other without being a reason to prefer it.

length          the longer one
marks           single marks of style
style_models    all marks together
authors         who wrote it
artefacts       the findings about style and authors
baseline        a bag of n-grams, without the prompt and with it
held_out        small linear models, judged on prompts that they have not seen
"""
